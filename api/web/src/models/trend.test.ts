import { expect, test } from "vitest";
import type { AliasMove, ModelVersion } from "../api/client";
import { breaksOf, leadingMetric, rollbackTarget, rollbackTargets, trend } from "./trend";

function move(act: string, previous: number | null, version: number): AliasMove {
  return { name: "m", alias: "production", act, previous, version, reason: "", actor: "a", at: "" };
}

function version(number: number, metrics: Record<string, number>, report = {}): ModelVersion {
  return {
    name: "m",
    version: number,
    uri: "",
    digest: "",
    metrics,
    report,
    description: "",
    aliases: [],
    tags: {},
    created_by: "a",
    created_at: "",
  };
}

test("a second rollback goes further back, not forth again", () => {
  const moves = [move("promote", null, 1), move("promote", 1, 2), move("promote", 2, 3)];
  expect(rollbackTarget([...moves].reverse(), "production")).toBe(2);
  moves.push(move("rollback", 3, 2));
  expect(rollbackTarget([...moves].reverse(), "production")).toBe(1);
});

test("after the first promotion there is nothing to go back to", () => {
  expect(rollbackTarget([move("promote", null, 1)], "production")).toBeUndefined();
});

test("one may go back to what was champion before, not to what was rolled back", () => {
  const moves = [move("promote", null, 1), move("promote", 1, 2), move("rollback", 2, 1)];
  moves.push(move("promote", 1, 4));
  expect([...rollbackTargets(moves.reverse(), "production")]).toEqual([1]);
});

test("a trend is oldest first, without the versions that lack the metric", () => {
  const versions = [version(3, { auc: 0.9 }), version(2, {}), version(1, { auc: 0.8 })];
  expect(trend(versions, "auc")).toEqual([
    [1, 0.8],
    [3, 0.9],
  ]);
});

test("the metric that the gate compared by leads", () => {
  const report = { comparison: { metric: "f1" } };
  expect(leadingMetric([version(1, { auc: 0.9, f1: 0.5 }, report)])).toBe("f1");
});

test("a trend breaks where other rows were measured, and only there", () => {
  const on = (number: number, data?: string) => version(number, { auc: 0.9 }, { data });
  const versions = [on(5), on(4, "b"), on(3, "b"), on(2, "a"), on(1, "a")];
  expect([...breaksOf(versions, "auc")]).toEqual([3]);
});

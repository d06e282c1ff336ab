import { expect, test } from "vitest";
import { keepView, readViews, viewWords } from "./views";

const FAILED = { name: "failures", search: { state: "failed" } } as const;

test("a view of a name that is there takes its place", () => {
  const changed = { name: "failures", search: { state: "failed", columns: "loss" } } as const;
  expect(keepView(keepView([], FAILED), changed)).toEqual([changed]);
});

test("what is kept is read again, and nonsense is left out", () => {
  expect(readViews(JSON.stringify([FAILED, { name: 3 }, null]))).toEqual([FAILED]);
  expect(readViews("{")).toEqual([]);
  expect(readViews(undefined)).toEqual([]);
});

test("a view says what it shows", () => {
  expect(viewWords({ state: "failed", columns: "loss,accuracy" })).toBe(
    "state:failed, with loss, accuracy",
  );
  expect(viewWords({})).toBe("all jobs");
});

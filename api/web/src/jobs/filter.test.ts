import { expect, test } from "vitest";
import {
  columnsOf,
  conditionsOf,
  completionsOf,
  filterOf,
  formatFilter,
  jobListSearchOf,
  parseFilter,
} from "./filter";

test("words without a key are a name", () => {
  expect(parseFilter("state:failed nightly report")).toEqual({
    state: "failed",
    name: "nightly report",
  });
});

test("what a filter says in words means the same filter", () => {
  const filter = { state: "running", experiment: "two words", name: "a", archived: true } as const;
  expect(parseFilter(formatFilter(filter))).toEqual(filter);
});

test("a pasted address with nonsense filters nothing", () => {
  expect(filterOf({ state: "broken", parent: "everything", page: 3 })).toEqual({});
});

const WORDS = { names: ["nightly", "two words"], experiments: ["churn", "chess"] };

test("the last word is completed, and the others stay", () => {
  expect(completionsOf("st", WORDS)).toEqual(["state:"]);
  expect(completionsOf("is:step state:fa", WORDS)).toEqual(["is:step state:failed"]);
  expect(completionsOf("experiment:ch", WORDS)).toEqual(["experiment:churn", "experiment:chess"]);
  expect(completionsOf("is:", WORDS)).toEqual(["is:step", "is:archived"]);
});

test("a name is completed once, with quotes where it has spaces", () => {
  expect(completionsOf("two", WORDS)).toEqual(['"two words"']);
  expect(completionsOf("nightly n", WORDS)).toEqual([]);
});

test("what is complete is not offered again", () => {
  expect(completionsOf("state:failed", WORDS)).toEqual([]);
});

test("columns come out of an address once each, and not too many", () => {
  expect(columnsOf("a, b,,a")).toEqual(["a", "b"]);
  expect(columnsOf(Array.from({ length: 20 }, (_, index) => `m${index}`).join())).toHaveLength(8);
  expect(jobListSearchOf({ columns: ",", state: "failed" })).toEqual({ state: "failed" });
});

test("conditions on metrics are words of the line, and stay in the address", () => {
  const filter = parseFilter("churn accuracy>0.9 metrics.evaluate.loss<=2e-1 state:succeeded");
  expect(filter).toEqual({
    name: "churn",
    state: "succeeded",
    where: "accuracy>0.9 evaluate.loss<=2e-1",
  });
  expect(conditionsOf(filter)).toEqual(["accuracy>0.9", "evaluate.loss<=2e-1"]);
  expect(parseFilter(formatFilter(filter))).toEqual(filter);
  expect(filterOf({ where: "no condition" })).toEqual({});
});

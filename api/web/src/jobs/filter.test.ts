import { expect, test } from "vitest";
import { filterOf, formatFilter, parseFilter } from "./filter";

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

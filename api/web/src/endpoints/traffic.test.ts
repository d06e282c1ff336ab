import { expect, test } from "vitest";
import { rowOf } from "./row";
import { shareOut } from "./traffic";

const sum = (traffic: Record<string, number>) =>
  Object.values(traffic).reduce((all, share) => all + share, 0);

test("shares add up to 100 whatever is set", () => {
  for (let percent = 0; percent <= 100; percent += 1) {
    expect(sum(shareOut({ a: 34, b: 33, c: 33 }, "a", percent))).toBe(100);
    expect(sum(shareOut({ a: 100, b: 0, c: 0 }, "a", percent))).toBe(100);
  }
});

test("the others keep their proportions", () => {
  expect(shareOut({ a: 0, b: 75, c: 25 }, "a", 20)).toEqual({ a: 20, b: 60, c: 20 });
});

test("a single deployment has all of it", () => {
  expect(shareOut({ a: 100 }, "a", 40)).toEqual({ a: 100 });
});

test("a row has the signature's types, and null for what was left empty", () => {
  const inputs = [
    { name: "n", datatype: "INT64", shape: [-1] },
    { name: "s", datatype: "BYTES", shape: [-1] },
    { name: "b", datatype: "BOOL", shape: [-1] },
    { name: "x", datatype: "FP64", shape: [-1] },
  ];
  expect(rowOf(inputs, { n: "3", s: "007", b: "true" })).toEqual({
    n: 3,
    s: "007",
    b: true,
    x: null,
  });
});

import { expect, test } from "vitest";
import type { Trial } from "../api/client";
import { axesOf, axisFor, bestSoFar, isInside, placeOn } from "./space";

function trial(number: number, value: number | null, params = {}, state = "succeeded"): Trial {
  return { number, id: String(number), state, params, value, metrics: {}, attempt: 1 };
}

test("a wide range of positive numbers is logarithmic, and its middle is the geometric one", () => {
  const axis = axisFor("rate", [0.001, 0.1, 10]);
  expect(axis.kind).toBe("log");
  expect(placeOn(axis, 0.1)).toBeCloseTo(0.5);
});

test("numbers beside words are words", () => {
  const axis = axisFor("depth", [3, "none"]);
  expect(axis.kind).toBe("category");
  expect(placeOn(axis, "none")).toBe(1);
  expect(placeOn(axis, "other")).toBeUndefined();
});

test("a parameter that never varies has no axis", () => {
  expect(axesOf([trial(0, 1, { a: 1, b: 2 }), trial(1, 1, { a: 1, b: 3 })])).toMatchObject([
    { name: "b" },
  ]);
});

test("the best so far counts only what succeeded", () => {
  const trials = [trial(0, 3), trial(1, 1, {}, "canceled"), trial(2, 2), trial(3, null)];
  expect(bestSoFar(trials, false)).toEqual([
    [0, 3],
    [2, 2],
  ]);
});

test("brushes on two axes keep what lies inside both", () => {
  const axes = [axisFor("a", [0, 10]), axisFor("b", [0, 10])];
  const brushes = { a: [0, 0.5], b: [0.5, 1] } as const;
  const inside = (a: number, b: number) =>
    isInside(brushes, axes, (axis) => ({ a, b })[axis.name as "a" | "b"]);
  expect([inside(1, 9), inside(9, 9), inside(1, 1)]).toEqual([true, false, false]);
});

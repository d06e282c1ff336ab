import { expect, test } from "vitest";
import { ago, bytes, duration, number, signed } from "./format";
import { linear, ticks } from "./scale";

test("durations change their unit with their size", () => {
  expect([0.054, 1.76, 75, 3700, 90_000].map(duration)).toEqual([
    "54 ms",
    "1.8 s",
    "1 min 15 s",
    "1 h 1 min",
    "1 d 1 h",
  ]);
});

test("a minute ago", () => {
  expect(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:01:10Z"))).toBe("1 min ago");
});

test("numbers have four digits, and nothing is a dash", () => {
  expect([0.98507, 1e-9, 1234.5678, null].map(number)).toEqual(["0.9851", "1.000e-9", "1235", "–"]);
  expect(signed(-0.5)).toBe("−0.5");
  expect(bytes(15_241)).toBe("15.2 kB");
});

test("ticks are round and inside their domain", () => {
  expect(ticks([0.81, 0.99], 4)).toEqual([0.85, 0.9, 0.95]);
  expect(linear([0, 10], [100, 0])(5)).toBe(50);
});

import { expect, test } from "vitest";
import { edgesOf, layOut, NODE } from "./graph";

const DIAMOND = [
  { id: "a", upstreams: [] },
  { id: "b", upstreams: ["a"] },
  { id: "c", upstreams: ["a"] },
  { id: "d", upstreams: ["b", "c", "elsewhere"] },
];

test("upstreams stand left of their downstreams", () => {
  const places = layOut(DIAMOND, "LR");
  for (const [source, target] of edgesOf(DIAMOND)) {
    expect(places.get(source)!.x + NODE.width).toBeLessThan(places.get(target)!.x);
  }
});

test("no node covers another", () => {
  const places = layOut(DIAMOND, "TB");
  const [b, c] = [places.get("b")!, places.get("c")!];
  expect(b.y).toBe(c.y);
  expect(Math.abs(b.x - c.x)).toBeGreaterThan(NODE.width);
});

test("an upstream outside the picture makes no edge", () => {
  expect(edgesOf(DIAMOND)).toHaveLength(4);
});

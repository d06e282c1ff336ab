import { expect, test } from "vitest";
import { edgesOf, layOut, linePath, NODE } from "./graph";

const DIAMOND = [
  { id: "a", upstreams: [] },
  { id: "b", upstreams: ["a"] },
  { id: "c", upstreams: ["a"] },
  { id: "d", upstreams: ["b", "c", "elsewhere"] },
];

test("upstreams stand left of their downstreams", () => {
  const { places } = layOut(DIAMOND, "LR");
  for (const [source, target] of edgesOf(DIAMOND)) {
    expect(places.get(source)!.x + NODE.width).toBeLessThan(places.get(target)!.x);
  }
});

test("no node covers another", () => {
  const { places } = layOut(DIAMOND, "TB");
  const [b, c] = [places.get("b")!, places.get("c")!];
  expect(b.y).toBe(c.y);
  expect(Math.abs(b.x - c.x)).toBeGreaterThan(NODE.width);
});

test("an upstream outside the picture makes no edge", () => {
  expect(edgesOf(DIAMOND)).toHaveLength(4);
});

/** Layers of 20 nodes, each of which waits for two of the layer before. */
const WIDE = Array.from({ length: 400 }, (_, index) => {
  const [layer, place] = [Math.floor(index / 20), index % 20];
  const before = layer > 0 ? [place, (place * 7 + 3) % 20] : [];
  return { id: `s${index}`, upstreams: before.map((one) => `s${(layer - 1) * 20 + one}`) };
});

test.each(["LR", "TB"] as const)("a large graph has its order and no overlap, %s", (direction) => {
  const { places } = layOut(WIDE, direction);
  const [along, length] =
    direction === "LR" ? (["x", NODE.width] as const) : (["y", NODE.height] as const);
  for (const [source, target] of edgesOf(WIDE)) {
    expect(places.get(source)![along] + length).toBeLessThan(places.get(target)![along]);
  }
  const all = [...places.values()];
  expect(all).toHaveLength(400);
  for (const [index, one] of all.entries()) {
    for (const other of all.slice(index + 1)) {
      const isApart =
        Math.abs(one.x - other.x) >= NODE.width || Math.abs(one.y - other.y) >= NODE.height;
      expect(isApart).toBe(true);
    }
  }
});

test("a node of a large graph stands beside the ones that it waits for", () => {
  const chains = Array.from({ length: 200 }, (_, index) => ({
    id: `${index}`,
    // the second of each pair is told in the other order
    upstreams: index < 100 ? [] : [`${199 - index}`],
  }));
  const { places } = layOut(chains, "LR");
  for (const [source, target] of edgesOf(chains)) {
    expect(places.get(target)!.y).toBe(places.get(source)!.y);
  }
});

test("a line goes from the one node's end to the other's begin", () => {
  expect(linePath({ x: 0, y: 0 }, { x: 300, y: 0 }, "LR")).toMatch(/^M210,29C.* 300,29$/);
  expect(linePath({ x: 0, y: 0 }, { x: 0, y: 100 }, "TB")).toMatch(/^M105,58C.* 105,100$/);
});

test("a line that spans a layer goes through a gap beside the layer's nodes", () => {
  const { places, gaps } = layOut(
    [...DIAMOND.slice(0, 3), { id: "d", upstreams: ["a", "b"] }],
    "LR",
  );
  const [gap] = gaps.get("a d")!;
  const middle = places.get("b")!;
  expect(gap!.x).toBe(middle.x + NODE.width / 2);
  for (const name of ["b", "c"]) {
    const { y } = places.get(name)!;
    expect(gap!.y < y || gap!.y > y + NODE.height).toBe(true);
  }
  expect(gaps.get("a b")).toEqual([]);
  const path = linePath(places.get("a")!, places.get("d")!, "LR", gaps.get("a d"));
  expect(path).toContain(`L${gap!.x + NODE.width / 2},${gap!.y}`);
});

import dagre from "@dagrejs/dagre";

export interface Place {
  x: number;
  y: number;
}

export const NODE = { width: 210, height: 58 };

interface Vertex {
  id: string;
  upstreams: readonly string[];
  width?: number;
  height?: number;
}

/** Beyond this dagre, whose cost grows with the square of the nodes, would hold up the page. */
const MOST_FOR_DAGRE = 120;
const GAP = { LR: { along: 56, across: 22 }, TB: { along: 36, across: 22 } };

let last: { shape: string; places: Map<string, Place> } | undefined;

/**
 * As `layOut`, at once for the graph that it was last asked for: large ones take a good part of a
 * second, and people go to and fro between tabs. shape: what of the nodes matters to their places.
 */
export function layOutOnce(
  shape: string,
  nodes: readonly Vertex[],
  direction: "LR" | "TB",
): Map<string, Place> {
  const key = `${direction} ${shape}`;
  if (last?.shape !== key) last = { shape: key, places: layOut(nodes, direction) };
  return last.places;
}

/** Places for a graph's nodes, upstreams before downstreams; unknown upstreams are left out. */
export function layOut(nodes: readonly Vertex[], direction: "LR" | "TB"): Map<string, Place> {
  return nodes.length > MOST_FOR_DAGRE ? inLayers(nodes, direction) : byDagre(nodes, direction);
}

function byDagre(nodes: readonly Vertex[], direction: "LR" | "TB"): Map<string, Place> {
  const graph = new dagre.graphlib.Graph();
  const { along, across } = GAP[direction];
  graph.setGraph({ rankdir: direction, nodesep: across, ranksep: along });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width = NODE.width, height = NODE.height } of nodes) {
    graph.setNode(id, { width, height });
  }
  for (const [source, target] of edgesOf(nodes)) graph.setEdge(source, target);
  dagre.layout(graph);
  return new Map(
    nodes.map(({ id }) => {
      const { x, y, width, height } = graph.node(id);
      return [id, { x: x - width / 2, y: y - height / 2 }];
    }),
  );
}

/**
 * Each node one layer after the last of its upstreams, within a layer by where its neighbours are.
 *
 * Of Sugiyama's method (1981) what takes time in proportion to the edges: longest paths for layers,
 * barycentres for their order. A node in a cycle, which no job has, stands in the first layer.
 */
function inLayers(nodes: readonly Vertex[], direction: "LR" | "TB"): Map<string, Place> {
  const upstreams = new Map<string, string[]>(nodes.map(({ id }) => [id, []]));
  const downstreams = new Map<string, string[]>(nodes.map(({ id }) => [id, []]));
  for (const [source, target] of edgesOf(nodes)) {
    upstreams.get(target)!.push(source);
    downstreams.get(source)!.push(target);
  }
  const layers = layersOf(nodes, upstreams, downstreams);
  const places = new Map<string, Place>();
  const isFlat = direction === "LR";
  const gap = GAP[direction];
  const length = ({ width = NODE.width, height = NODE.height }: Vertex) =>
    isFlat ? height : width;
  const depth = ({ width = NODE.width, height = NODE.height }: Vertex) => (isFlat ? width : height);
  const total = (layer: readonly Vertex[]) =>
    layer.reduce((sum, one) => sum + length(one) + gap.across, -gap.across);
  const widest = Math.max(...layers.map(total));
  let along = 0;
  for (const layer of layers) {
    let across = (widest - total(layer)) / 2;
    for (const one of layer) {
      places.set(one.id, isFlat ? { x: along, y: across } : { x: across, y: along });
      across += length(one) + gap.across;
    }
    along += Math.max(...layer.map(depth)) + gap.along;
  }
  return places;
}

type Neighbours = ReadonlyMap<string, readonly string[]>;
const SWEEPS = 4;

function layersOf(
  nodes: readonly Vertex[],
  upstreams: Neighbours,
  downstreams: Neighbours,
): Vertex[][] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const layer = new Map(nodes.map(({ id }) => [id, 0]));
  const open = new Map(nodes.map(({ id }) => [id, upstreams.get(id)!.length]));
  const ready = nodes.map(({ id }) => id).filter((id) => open.get(id) === 0);
  for (const id of ready) {
    for (const next of downstreams.get(id)!) {
      layer.set(next, Math.max(layer.get(next)!, layer.get(id)! + 1));
      open.set(next, open.get(next)! - 1);
      if (open.get(next) === 0) ready.push(next);
    }
  }
  let layers: string[][] = [];
  for (const { id } of nodes) (layers[layer.get(id)!] ??= []).push(id);
  layers = Array.from(layers, (one) => one ?? []).filter((one) => one.length > 0);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const isDown = sweep % 2 === 0;
    const place = new Map<string, number>();
    const settle = (one: string[]) =>
      one.forEach((id, index) => place.set(id, index - one.length / 2));
    layers.forEach(settle);
    for (const one of isDown ? layers : layers.toReversed()) {
      const wanted = new Map(
        one.map((id) => {
          const near = (isDown ? upstreams : downstreams).get(id)!;
          const sum = near.reduce((all, other) => all + place.get(other)!, 0);
          return [id, near.length > 0 ? sum / near.length : place.get(id)!];
        }),
      );
      one.sort((a, b) => wanted.get(a)! - wanted.get(b)!);
      settle(one);
    }
  }
  return layers.map((one) => one.map((id) => byId.get(id)!));
}

/** [upstream, downstream] for each dependency inside the graph. */
export function edgesOf(
  nodes: readonly { id: string; upstreams: readonly string[] }[],
): [string, string][] {
  const known = new Set(nodes.map((node) => node.id));
  return nodes.flatMap((node) =>
    node.upstreams
      .filter((upstream) => known.has(upstream))
      .map((upstream): [string, string] => [upstream, node.id]),
  );
}

/** A line from a node to one that waits for it, as an SVG path has it. */
export function linePath(from: Place, to: Place, direction: "LR" | "TB"): string {
  if (direction === "TB") {
    const [x1, y1, x2, y2] = [
      from.x + NODE.width / 2,
      from.y + NODE.height,
      to.x + NODE.width / 2,
      to.y,
    ];
    const bend = Math.max(18, (y2 - y1) / 2);
    return `M${x1},${y1}C${x1},${y1 + bend} ${x2},${y2 - bend} ${x2},${y2}`;
  }
  const [x1, y1, x2, y2] = [
    from.x + NODE.width,
    from.y + NODE.height / 2,
    to.x,
    to.y + NODE.height / 2,
  ];
  const bend = Math.max(28, (x2 - x1) / 2);
  return `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
}

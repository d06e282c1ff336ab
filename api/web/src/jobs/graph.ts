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

/** Where nodes stand, by their top left corners, and lines between them that go round the others. */
export interface Layout {
  places: Map<string, Place>;
  /** `SOURCE TARGET` -> the centres of the gaps in the layers between them. */
  gaps: Map<string, Place[]>;
}

let last: { shape: string; layout: Layout } | undefined;

/**
 * As `layOut`, at once for the graph that it was last asked for: large ones take a good part of a
 * second, and people go to and fro between tabs. shape: what of the nodes matters to their places.
 */
export function layOutOnce(
  shape: string,
  nodes: readonly Vertex[],
  direction: "LR" | "TB",
): Layout {
  const key = `${direction} ${shape}`;
  if (last?.shape !== key) last = { shape: key, layout: layOut(nodes, direction) };
  return last.layout;
}

/** Places for a graph's nodes, upstreams before downstreams; unknown upstreams are left out. */
export function layOut(nodes: readonly Vertex[], direction: "LR" | "TB"): Layout {
  if (nodes.length <= MOST_FOR_DAGRE) return byDagre(nodes, direction);
  return { places: inLayers(nodes, direction), gaps: new Map() };
}

function byDagre(nodes: readonly Vertex[], direction: "LR" | "TB"): Layout {
  const graph = new dagre.graphlib.Graph();
  const { along, across } = GAP[direction];
  graph.setGraph({ rankdir: direction, nodesep: across, ranksep: along });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width = NODE.width, height = NODE.height } of nodes) {
    graph.setNode(id, { width, height });
  }
  for (const [source, target] of edgesOf(nodes)) graph.setEdge(source, target);
  dagre.layout(graph);
  const axis = direction === "LR" ? "x" : "y";
  const layers = new Set(nodes.map(({ id }) => Math.round(graph.node(id)[axis])));
  const gaps = edgesOf(nodes).map(([source, target]): [string, Place[]] => [
    `${source} ${target}`,
    // without the ends, which dagre puts anywhere on a node's frame, and the bends between layers
    (graph.edge(source, target).points as Place[])
      .slice(1, -1)
      .filter((point) => layers.has(Math.round(point[axis]))),
  ]);
  const places = nodes.map(({ id }): [string, Place] => {
    const { x, y, width, height } = graph.node(id);
    return [id, { x: x - width / 2, y: y - height / 2 }];
  });
  return { places: new Map(places), gaps: new Map(gaps) };
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

/** A line from a node to one that waits for it, through gaps, as an SVG path has it. */
export function linePath(
  from: Place,
  to: Place,
  direction: "LR" | "TB",
  gaps: readonly Place[] = [],
): string {
  const { width, height } = NODE;
  // pairs of points: each line bends between two pairs and is straight from the one to the other
  const stops: [number, number][] =
    direction === "LR"
      ? [
          [from.x + width, from.y + height / 2],
          ...gaps.flatMap(({ x, y }): [number, number][] => [
            [x - width / 2, y],
            [x + width / 2, y],
          ]),
          [to.x, to.y + height / 2],
        ]
      : [
          [from.x + width / 2, from.y + height],
          ...gaps.flatMap(({ x, y }): [number, number][] => [
            [x, y - height / 2],
            [x, y + height / 2],
          ]),
          [to.x + width / 2, to.y],
        ];
  let path = `M${stops[0]!.join()}`;
  for (let index = 1; index < stops.length; index += 2) {
    const [[x1, y1], [x2, y2]] = [stops[index - 1]!, stops[index]!];
    path +=
      direction === "LR"
        ? `C${(x1 + x2) / 2},${y1} ${(x1 + x2) / 2},${y2} ${x2},${y2}`
        : `C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2} ${x2},${y2}`;
    const next = stops[index + 1];
    if (next) path += `L${next.join()}`;
  }
  return path;
}

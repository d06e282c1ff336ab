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
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: direction, nodesep: 22, ranksep: direction === "LR" ? 56 : 36 });
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

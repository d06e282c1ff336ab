import dagre from "@dagrejs/dagre";

export interface Place {
  x: number;
  y: number;
}

export const NODE = { width: 210, height: 58 };

/** Places for a graph's nodes, upstreams before downstreams; unknown upstreams are left out. */
export function layOut(
  nodes: readonly { id: string; upstreams: readonly string[] }[],
  direction: "LR" | "TB",
): Map<string, Place> {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: direction, nodesep: 22, ranksep: direction === "LR" ? 56 : 36 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { ...NODE });
  for (const [source, target] of edgesOf(nodes)) graph.setEdge(source, target);
  dagre.layout(graph);
  return new Map(
    nodes.map(({ id }) => {
      const { x, y } = graph.node(id);
      return [id, { x: x - NODE.width / 2, y: y - NODE.height / 2 }];
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

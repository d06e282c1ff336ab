import "@xyflow/react/dist/style.css";
import { useComputedColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import {
  Background,
  Controls,
  type Edge,
  Handle,
  MiniMap,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
} from "@xyflow/react";
import { memo, useMemo, useRef } from "react";
import type { Job } from "../api/client";
import { number } from "../parts/format";
import { StateIcon } from "../parts/state";
import { Took } from "../parts/time";
import { edgesOf, layOutOnce, NODE } from "./graph";

type StepNode = Node<{ job: Job; direction: "LR" | "TB" }, "step">;
const READABLE = 40;

interface Props {
  steps: Job[];
  selected?: string;
  onSelect: (step: Job) => void;
}

/** A pipeline's steps by their dependencies, with their states as they are. */
export default function FlowDiagram({ steps, selected, onSelect }: Props) {
  const scheme = useComputedColorScheme("light");
  const isNarrow = useMediaQuery("(max-width: 48em)") ?? false;
  const direction = isNarrow ? "TB" : "LR";
  const shape = steps.map((step) => `${step.id}:${step.upstreams.join()}`).join(" ");
  // Places depend on the shape alone: a change of state must not move anything.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const places = useMemo(() => layOutOnce(shape, steps, direction), [shape, direction]);
  const lowest = Math.max(...[...places.values()].map((place) => place.y));
  // What has not changed stays the same object: of 400 steps one is drawn anew, not all.
  const drawn = useRef(new Map<string, StepNode>());
  const nodes = useMemo(() => {
    const made = steps.map((job): StepNode => {
      const before = drawn.current.get(job.id);
      const position = places.get(job.id) ?? { x: 0, y: 0 };
      const isSelected = job.id === selected;
      if (
        before?.data.job === job &&
        before.data.direction === direction &&
        before.position === position &&
        before.selected === isSelected
      ) {
        return before;
      }
      return {
        id: job.id,
        type: "step",
        position,
        data: { job, direction },
        ...NODE,
        selected: isSelected,
        ariaLabel: `${job.name}: ${job.state}`,
        draggable: false,
        connectable: false,
      };
    });
    drawn.current = new Map(made.map((node) => [node.id, node]));
    return made;
  }, [steps, places, selected, direction]);
  // A picture of all of a large pipeline could not be read: it opens where something is to be seen.
  const first =
    steps.length > READABLE
      ? (steps.find((step) => step.id === selected) ??
        steps.find((step) => step.state === "failed" || step.state === "running") ??
        steps[0])
      : undefined;
  const byId = useMemo(() => new Map(steps.map((step) => [step.id, step])), [steps]);
  const edges = useMemo(
    () =>
      edgesOf(steps).map(([source, target]): Edge => ({
        id: `${source}-${target}`,
        source,
        target,
        animated: byId.get(target)?.state === "running",
        focusable: false,
      })),
    [steps, byId],
  );
  return (
    <div className="card flow" style={{ height: lowest + NODE.height + 90 }}>
      <ReactFlow
        key={`${direction} ${shape}`}
        nodes={nodes}
        edges={edges}
        nodeTypes={TYPES}
        colorMode={scheme}
        fitView
        fitViewOptions={
          first ? { nodes: [{ id: first.id }], maxZoom: 0.8 } : { padding: 0.08, maxZoom: 1.1 }
        }
        minZoom={0.1}
        onlyRenderVisibleElements={first !== undefined}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        preventScrolling={false}
        onNodesChange={(changes) => {
          // A click, or Enter on a focused node. What is selected is the address's to say: an answer
          // to `onSelectionChange`, which tells of what it is told, would go round for ever.
          const chosen = changes.find((change) => change.type === "select" && change.selected);
          const job = chosen?.type === "select" && byId.get(chosen.id);
          if (job && job.id !== selected) onSelect(job);
        }}
      >
        <Background gap={20} />
        {first && (
          <MiniMap<StepNode>
            nodeColor={({ data }) => colourOf(data.job)}
            pannable
            zoomable
            position="bottom-left"
            ariaLabel="The whole pipeline"
          />
        )}
        <Controls showInteractive={false} orientation="horizontal" position="bottom-right" />
      </ReactFlow>
    </div>
  );
}

const LOUD = new Set(["succeeded", "failed", "running", "waiting"]);

function colourOf({ state }: Job): string {
  return `var(--state-${LOUD.has(state) ? state : "quiet"})`;
}

const Step = memo(function Step({ data: { job, direction }, selected }: NodeProps<StepNode>) {
  const [metric] = Object.entries(job.metrics);
  return (
    <div className={`node ${job.state} ${selected ? "selected" : ""}`}>
      <Handle
        type="target"
        position={direction === "LR" ? Position.Left : Position.Top}
        style={{ visibility: "hidden" }}
      />
      <div className="node-name">
        <StateIcon state={job.state} size={14} />
        <span title={job.name}>{job.name}</span>
      </div>
      <div className="node-facts">
        {job.waiting_for ?? (
          <>
            <Took job={job} />
            {job.reason === "cached" && " · reused"}
            {job.attempt > 1 && ` · attempt ${job.attempt}`}
            {metric && ` · ${metric[0]} ${number(metric[1])}`}
          </>
        )}
      </div>
      <Handle
        type="source"
        position={direction === "LR" ? Position.Right : Position.Bottom}
        style={{ visibility: "hidden" }}
      />
    </div>
  );
});

const TYPES = { step: Step };

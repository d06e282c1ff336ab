import "@xyflow/react/dist/style.css";
import { useComputedColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import {
  Background,
  Controls,
  MiniMap,
  type Node,
  type NodeProps,
  ReactFlow,
  useStore,
  ViewportPortal,
} from "@xyflow/react";
import { memo, useMemo, useRef } from "react";
import type { Job } from "../api/client";
import { number } from "../parts/format";
import { StateIcon } from "../parts/state";
import { Took } from "../parts/time";
import { edgesOf, type Layout, layOutOnce, linePath, NODE } from "./graph";

type StepNode = Node<{ job: Job }, "step">;
const READABLE = 40;
/** Room for the buttons below what is shown. */
const PADDING = { x: "16px", top: "16px", bottom: "56px" } as const;

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
  const layout = useMemo(() => layOutOnce(shape, steps, direction), [shape, direction]);
  const { places } = layout;
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
        before.position === position &&
        before.selected === isSelected
      ) {
        return before;
      }
      return {
        id: job.id,
        type: "step",
        position,
        data: { job },
        ...NODE,
        selected: isSelected,
        ariaLabel: `${job.name}: ${job.state}`,
        draggable: false,
        connectable: false,
      };
    });
    drawn.current = new Map(made.map((node) => [node.id, node]));
    return made;
  }, [steps, places, selected]);
  // A picture of all of a large pipeline could not be read: it opens where something is to be seen.
  const first =
    steps.length > READABLE
      ? (steps.find((step) => step.id === selected) ??
        steps.find((step) => step.state === "failed" || step.state === "running") ??
        steps[0])
      : undefined;
  const byId = useMemo(() => new Map(steps.map((step) => [step.id, step])), [steps]);
  return (
    <div className="card flow" style={{ height: lowest + NODE.height + 90 }}>
      <ReactFlow
        key={`${direction} ${shape}`}
        nodes={nodes}
        nodeTypes={TYPES}
        colorMode={scheme}
        fitView
        fitViewOptions={
          first ? { nodes: [{ id: first.id }], maxZoom: 0.8 } : { padding: PADDING, maxZoom: 1.1 }
        }
        minZoom={0.1}
        onlyRenderVisibleElements={first !== undefined}
        nodesConnectable={false}
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
        <Lines steps={steps} layout={layout} direction={direction} />
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

interface LinesProps {
  steps: Job[];
  layout: Layout;
  direction: "LR" | "TB";
}

/** All dependencies as two paths, those into running steps and the others: one each would be slow. */
function Lines({ steps, layout, direction }: LinesProps) {
  const lines = useMemo(
    () =>
      edgesOf(steps).flatMap(([source, target]) => {
        const [from, to] = [layout.places.get(source), layout.places.get(target)];
        const gaps = layout.gaps.get(`${source} ${target}`);
        return from && to ? [{ target, path: linePath(from, to, direction, gaps) }] : [];
      }),
    // What waits for what never changes without the layout.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [layout, direction],
  );
  const running = new Set(steps.filter((step) => step.state === "running").map(({ id }) => id));
  const pathOf = (isRunning: boolean) =>
    lines
      .filter(({ target }) => running.has(target) === isRunning)
      .map(({ path }) => path)
      .join("");
  return (
    <ViewportPortal>
      <svg className="flow-lines" data-lines={lines.length} aria-hidden>
        <path d={pathOf(false)} />
        <path d={pathOf(true)} className="moving" />
      </svg>
    </ViewportPortal>
  );
}

/** Below this zoom no word can be read, and none is drawn. */
const LEGIBLE_ZOOM = 0.3;

const Step = memo(function Step({ data: { job }, selected }: NodeProps<StepNode>) {
  const isLegible = useStore((state) => state.transform[2] >= LEGIBLE_ZOOM);
  const shape = `node ${job.state} ${selected ? "selected" : ""}`;
  if (!isLegible) return <div className={`${shape} far`} title={job.name} />;
  const [metric] = Object.entries(job.metrics);
  return (
    <div className={shape}>
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
    </div>
  );
});

const TYPES = { step: Step };

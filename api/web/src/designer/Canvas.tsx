import "@xyflow/react/dist/style.css";
import { useComputedColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import {
  Background,
  type Connection,
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
import type { Component, PlanView } from "../api/client";
import { layOut } from "../jobs/graph";
import { type Binding, isStored, type Pipeline, type Step, whyNot } from "./pipeline";

interface Port {
  name: string;
  type?: string;
}

interface Card extends Record<string, unknown> {
  step: Step;
  inputs: Port[];
  outputs: Port[];
  isWrong: boolean;
  change?: "added" | "changed";
  planned?: PlanView["jobs"][number];
}

type CardNode = Node<Card, "card">;
const WIDTH = 230;
const HEAD = 52;
const PORT = 20;

/** What the canvas can do to the file. */
export interface CanvasActs {
  onSelect: (name: string) => void;
  onBind: (binding: Binding) => void;
  onUnbind: (binding: Binding) => void;
  onRemove: (name: string) => void;
  onRefuse: (reason: string) => void;
  onCopy: (name: string) => string;
  onPaste: (copied: string) => void;
}

interface Props extends CanvasActs {
  pipeline: Pipeline;
  components: ReadonlyMap<string, Component>;
  plan?: PlanView;
  wrong: ReadonlySet<string>;
  /** Steps that are new or changed against another file. */
  changed: ReadonlyMap<string, "added" | "changed">;
  selected?: string;
}

/** More steps than can be seen at once have a small picture of all of them. */
const MANY = 4;
/** Of larger ones only what is in sight is drawn. */
const LARGE = 60;
const READABLE_ZOOM = 0.65;
/** Of a large one the small picture shows all; cards with their ports are drawn where they are seen. */
const LEAST_ZOOM = 0.3;

/** The steps of a job file with their ports; drawing a line binds an output to an input. */
export default memo(function Canvas(props: Props) {
  const { pipeline, components, plan, wrong, selected } = props;
  const scheme = useComputedColorScheme("light");
  // All of it could not be read on a narrow page: it opens where one works.
  const isNarrow = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false });
  const first = selected ?? pipeline.steps[0]?.name;
  const refused = useRef("");
  const planned = new Map(plan?.jobs.map((job) => [job.path, job]));
  const cards = pipeline.steps.map((step): Card => {
    const component = step.component ? components.get(step.component) : undefined;
    return {
      step,
      inputs: inputPorts(step, component, pipeline),
      outputs: outputPorts(step, component, pipeline),
      isWrong: wrong.has(step.name),
      change: props.changed.get(step.name),
      planned: planned.get(step.name),
    };
  });
  const shape = JSON.stringify([
    cards.map(({ step, inputs, outputs }) => [step.name, inputs.length, outputs.length]),
    pipeline.bindings.map(({ from, to }) => [from, to]),
  ]);
  const places = useMemo(
    () =>
      layOut(
        cards.map((card) => ({
          id: card.step.name,
          upstreams: upstreamsOf(card.step.name, pipeline),
          ...sizeOf(card),
        })),
        "LR",
      ).places,
    // Places depend on the shape alone: typing a value must not move anything.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [shape],
  );
  const drawn = useRef(new Map<string, { key: string; node: CardNode }>());
  const nodes = cards.map((card): CardNode => {
    const { name } = card.step;
    const position = places.get(name) ?? { x: 0, y: 0 };
    const key = JSON.stringify([card, position, name === selected]);
    const before = drawn.current.get(name);
    // What has not changed stays the same object, and is not drawn anew.
    if (before?.key === key) return before.node;
    const node: CardNode = {
      id: name,
      type: "card",
      position,
      data: card,
      ...sizeOf(card),
      selected: name === selected,
      draggable: false,
      ariaLabel: `Step ${name}${card.isWrong ? ", has a problem" : ""}`,
    };
    drawn.current.set(name, { key, node });
    return node;
  });
  const edges = pipeline.bindings.map((one): Edge => ({
    id: `${one.to}.${one.input}${one.isControl ? ` ${one.from}` : ""}`,
    source: one.from,
    target: one.to,
    sourceHandle: one.output,
    targetHandle: one.input,
    ariaLabel: `${one.from}.${one.output} to ${one.to}.${one.input}`,
    interactionWidth: 16,
    ...(one.isControl && { deletable: false, className: "control-line" }),
  }));
  const bindingFor = ({ source, sourceHandle, target, targetHandle }: Connection | Edge) => ({
    from: source,
    output: sourceHandle ?? "",
    to: target,
    input: targetHandle ?? "",
  });
  return (
    <div
      className="card designer-canvas"
      role="region"
      aria-label="Canvas"
      onCopy={(event) => {
        // Words that are marked are copied as ever.
        if (!selected || !document.getSelection()?.isCollapsed) return;
        event.clipboardData.setData("text/plain", props.onCopy(selected));
        event.preventDefault();
      }}
      onPaste={(event) => {
        event.preventDefault();
        props.onPaste(event.clipboardData.getData("text/plain"));
      }}
    >
      <ReactFlow
        key={shape}
        nodes={nodes}
        edges={edges}
        nodeTypes={TYPES}
        colorMode={scheme}
        fitView
        fitViewOptions={
          isNarrow && first
            ? { nodes: [{ id: first }], maxZoom: 0.9 }
            : { padding: 0.1, minZoom: READABLE_ZOOM, maxZoom: 1 }
        }
        minZoom={cards.length > LARGE ? LEAST_ZOOM : 0.1}
        onlyRenderVisibleElements={cards.length > LARGE}
        preventScrolling={false}
        deleteKeyCode={["Delete", "Backspace"]}
        isValidConnection={(connection) => {
          refused.current = whyNot(pipeline, bindingFor(connection), components) ?? "";
          return refused.current === "";
        }}
        onConnectStart={() => {
          refused.current = "";
        }}
        onConnect={(connection) => props.onBind(bindingFor(connection))}
        onConnectEnd={() => {
          if (refused.current) props.onRefuse(refused.current);
        }}
        onNodeClick={(_, node) => props.onSelect(node.id)}
        onNodesChange={(changes) => {
          // Enter on a focused node selects it.
          const chosen = changes.find((change) => change.type === "select" && change.selected);
          if (chosen?.type === "select" && chosen.id !== selected) props.onSelect(chosen.id);
        }}
        onNodesDelete={(gone) => gone.forEach((node) => props.onRemove(node.id))}
        onEdgesDelete={(gone) => {
          // Those of a step that goes too are unbound with it.
          gone.forEach((edge) => props.onUnbind(bindingFor(edge)));
        }}
      >
        <Background gap={20} />
        {cards.length > MANY && !isNarrow && (
          <MiniMap<CardNode>
            nodeColor={({ data }) => `var(--state-${data.isWrong ? "failed" : "quiet"})`}
            pannable
            zoomable
            position="bottom-left"
            style={{ width: 130, height: 80 }}
            ariaLabel="The whole pipeline"
          />
        )}
        <Controls showInteractive={false} orientation="horizontal" position="bottom-right" />
      </ReactFlow>
    </div>
  );
});

const StepCard = memo(function StepCard({
  data: { step, inputs, outputs, isWrong, planned, change },
  selected,
}: NodeProps<CardNode>) {
  const rows = Math.max(inputs.length, outputs.length);
  return (
    <div
      className={`node step-card ${isWrong ? "failed" : "queued"} ${selected ? "selected" : ""}`}
    >
      <div className="node-name">
        <span title={step.name}>{step.name}</span>
        {change && (
          <b className={change === "added" ? "succeeded" : "waiting"}>
            {change === "added" ? "new" : "changed"}
          </b>
        )}
      </div>
      <div className="node-facts">
        {planned?.reuses ? "reuses outputs" : (step.component ?? step.type)}
        {planned?.compute && ` · ${planned.compute}`}
      </div>
      {Array.from({ length: rows }, (_, row) => {
        const [input, output] = [inputs[row], outputs[row]];
        return (
          <div key={row} className="port-row">
            <span title={input?.type}>
              {input && <Handle type="target" id={input.name} position={Position.Left} />}
              {input?.name}
            </span>
            <span title={output?.type}>
              {output?.name}
              {output && <Handle type="source" id={output.name} position={Position.Right} />}
            </span>
          </div>
        );
      })}
    </div>
  );
});

const TYPES = { card: StepCard };

/** What can be drawn to: files, what must be given, and what is bound already. */
function inputPorts(step: Step, component: Component | undefined, pipeline: Pipeline): Port[] {
  const ports = component?.inputs ?? {};
  const bound = (name: string) =>
    String(JSON.stringify(step.inputs[name]) ?? "").includes("${{parent.jobs.");
  const names = new Set([
    ...Object.keys(ports).filter(
      (name) =>
        isStored(ports[name]!.type) || (!ports[name]!.optional && step.inputs[name] == null),
    ),
    ...Object.keys(step.inputs).filter(bound),
    ...pipeline.bindings
      .filter((one) => one.isControl && one.to === step.name)
      .map(({ input }) => input),
  ]);
  return [...names].map((name) => ({ name, type: ports[name]?.type }));
}

function outputPorts(step: Step, component: Component | undefined, pipeline: Pipeline): Port[] {
  const names = new Set([
    ...Object.keys(component?.outputs ?? {}),
    ...step.outputs,
    ...pipeline.bindings.filter(({ from }) => from === step.name).map(({ output }) => output),
  ]);
  return [...names].map((name) => ({ name, type: component?.outputs[name]?.type }));
}

function sizeOf({ inputs, outputs }: Card) {
  return { width: WIDTH, height: HEAD + Math.max(inputs.length, outputs.length) * PORT };
}

function upstreamsOf(name: string, pipeline: Pipeline): string[] {
  return pipeline.bindings.filter(({ to }) => to === name).map(({ from }) => from);
}

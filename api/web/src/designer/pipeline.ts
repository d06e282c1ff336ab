import {
  type Document,
  isMap,
  isScalar,
  LineCounter,
  parseDocument,
  Scalar,
  stringify,
  YAMLMap,
} from "yaml";
import type { Component } from "../api/client";

export interface Step {
  name: string;
  /** A component with a name; absent for commands, sweeps and pipelines written in place. */
  component?: string;
  type: string;
  /** As written: literals, bindings, typed inputs. */
  inputs: Record<string, unknown>;
  /** Outputs that the step itself declares. */
  outputs: string[];
}

/** An output that another step takes. */
export interface Binding {
  from: string;
  output: string;
  to: string;
  input: string;
  /** What a control step waits for or starts: no input of a step, and changed in the text. */
  isControl?: true;
}

/** What a job file says, as far as a picture shows it. */
export interface Pipeline {
  inputs: string[];
  steps: Step[];
  bindings: Binding[];
}

/** line: 1-based. */
export interface Fault {
  message: string;
  line: number;
}

const BOUND = /^\s*\$\{\{\s*parent\.jobs\.([^.}\s]+)\.outputs\.([^.}\s]+)\s*\}\}\s*$/;

/** The binding to an output of a step. */
export function bindingOf(from: string, output: string): string {
  return `\${{parent.jobs.${from}.outputs.${output}}}`;
}

/** [step, output] that a written value takes; undefined for other values. */
export function boundTo(value: unknown): [string, string] | undefined {
  const text = typeof value === "object" && value !== null && "path" in value ? value.path : value;
  const found = typeof text === "string" ? BOUND.exec(text) : null;
  return found ? [found[1]!, found[2]!] : undefined;
}

/** The picture of a job file, or why there is none. */
export function readPipeline(text: string): Pipeline | Fault {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const [error] = document.errors;
  if (error) return { message: error.message, line: counter.linePos(error.pos[0]).line };
  let read: unknown;
  try {
    read = document.toJS();
  } catch (wrong) {
    return { message: wrong instanceof Error ? wrong.message : String(wrong), line: 1 };
  }
  const root = asMap(read);
  const steps = Object.entries(asMap(root.jobs)).map(([name, raw]): Step => {
    const step = asMap(raw);
    const component = step.component ?? step.trial;
    return {
      name,
      component: typeof component === "string" ? component : undefined,
      type: String(
        step.type ??
          (step.trial ? "sweep" : step.jobs ? "pipeline" : component ? "component" : "command"),
      ),
      inputs: asMap(step.inputs),
      outputs: Object.keys(asMap(step.outputs)),
    };
  });
  const known = new Set(steps.map((step) => step.name));
  const bindings = steps.flatMap((step) =>
    Object.entries(step.inputs).flatMap(([input, value]): Binding[] => {
      const bound = boundTo(value);
      return bound && known.has(bound[0])
        ? [{ from: bound[0], output: bound[1], to: step.name, input }]
        : [];
    }),
  );
  const controls = Object.entries(asMap(root.jobs)).flatMap(([name, raw]) =>
    controlsOf(name, asMap(raw)).filter(({ from, to }) => known.has(from) && known.has(to)),
  );
  return { inputs: Object.keys(asMap(root.inputs)), steps, bindings: [...bindings, ...controls] };
}

const CONTROLS = new Set(["if_else", "do_while", "parallel_for"]);
const BLOCKS = { true_block: "true", false_block: "false" };
const STEP = /^\s*\$\{\{\s*parent\.jobs\.([^.}\s]+)\s*\}\}\s*$/;
/** Keys of control steps that name other steps. */
const CONTROL_KEYS = ["condition", "items", "body", ...Object.keys(BLOCKS)];

/** What a control step waits for, and what an `if_else` may start. */
function controlsOf(name: string, step: Record<string, unknown>): Binding[] {
  if (!CONTROLS.has(String(step.type))) return [];
  const waits = ["condition", "items"].flatMap((input): Binding[] => {
    const [from, output] = boundTo(step[input]) ?? [];
    return from && output ? [{ from, output, to: name, input, isControl: true }] : [];
  });
  const starts = Object.entries(BLOCKS).flatMap(([key, output]): Binding[] => {
    const block = STEP.exec(String(step[key] ?? ""))?.[1];
    return block ? [{ from: name, output, to: block, input: "if", isControl: true }] : [];
  });
  // The body of a loop goes round: a line back would stand the picture on its head.
  return [...waits, ...starts];
}

export function isFault(read: Pipeline | Fault): read is Fault {
  return "message" in read;
}

/** A job file as YAML: what was sent as JSON is written anew. */
export function asYaml(text: string): string {
  if (!text.trimStart().startsWith("{")) return text;
  return stringify(JSON.parse(text), { lineWidth: 0 });
}

/** A new file's text. */
export const BLANK =
  "type: pipeline\ndisplay_name: new\nsettings: {default_compute: cpu}\njobs: {}\n";

/** `text` with one more step; its required inputs stand there to be filled. */
export function addStep(text: string, name: string, component?: Component): string {
  return edit(text, (document) => {
    const step = component
      ? {
          component: component.name,
          inputs: Object.fromEntries(
            Object.entries(component.inputs)
              .filter(([, port]) => !port.optional && port.default == null)
              .map(([input]) => [input, null]),
          ),
        }
      : { type: "command", command: "echo hello" };
    const jobs = document.get("jobs");
    if (isMap(jobs)) jobs.flow = false;
    else document.set("jobs", new YAMLMap());
    document.setIn(["jobs", name], document.createNode(step));
  });
}

/** `text` without a step and without what was bound to it. */
export function removeStep(text: string, name: string): string {
  return edit(text, (document) => {
    document.deleteIn(["jobs", name]);
    eachInput(document, (input, value, step) => {
      if (boundTo(value)?.[0] === name) document.deleteIn(["jobs", step, "inputs", input]);
    });
  });
}

/** `text` with a step under another name, bindings following it. */
export function renameStep(text: string, name: string, to: string): string {
  return edit(text, (document) => {
    const jobs = document.get("jobs");
    if (!isMap(jobs)) return;
    const pair = jobs.items.find(({ key }) => String(isScalar(key) ? key.value : key) === name);
    if (!pair) return;
    if (isScalar(pair.key)) pair.key.value = to;
    else pair.key = new Scalar(to);
    eachInput(document, (input, value, step) => {
      const bound = boundTo(value);
      if (bound?.[0] !== name) return;
      setValue(document, ["jobs", step, "inputs", input], bindingOf(to, bound[1]));
    });
    for (const [step, raw] of Object.entries(asMap(asMap(document.toJS()).jobs))) {
      for (const key of CONTROL_KEYS) {
        const value = asMap(raw)[key];
        const [before, ref, rest] = String(value ?? "").split(/(\bparent\.jobs\.[^.}\s]+)/);
        if (ref !== `parent.jobs.${name}`) continue;
        setValue(document, ["jobs", step, key], `${before}parent.jobs.${to}${rest}`);
      }
    }
  });
}

/** `text` with an input of a step set; undefined takes it away. */
export function setInput(text: string, step: string, input: string, value: unknown): string {
  const path = ["jobs", step, "inputs", input];
  const there = parseDocument(text).getIn(path, true);
  if (isScalar(there) && there.range && there.range[1] > there.range[0] && isPlain(value)) {
    // In its place, so that nothing else of the file moves.
    return text.slice(0, there.range[0]) + written(value) + text.slice(there.range[1]);
  }
  return edit(text, (document) => {
    if (value === undefined) document.deleteIn(path);
    else setValue(document, path, value);
  });
}

/** Steps of a job file as the text that `pasteSteps` takes, which is a job file itself. */
export function copySteps(text: string, names: readonly string[]): string {
  const jobs = asMap(asMap(parseDocument(text).toJS()).jobs);
  const copied = names.filter((name) => name in jobs).map((name) => [name, jobs[name]]);
  return stringify({ jobs: Object.fromEntries(copied) }, { lineWidth: 0 });
}

/**
 * `text` with the steps that were copied, under names that are free, bound among each other as they
 * were; [text, names]. Undefined where `copied` holds no steps.
 */
export function pasteSteps(text: string, copied: string): [string, string[]] | undefined {
  const pipeline = readPipeline(text);
  const found = readPipeline(copied);
  if (isFault(pipeline) || isFault(found) || found.steps.length === 0) return undefined;
  const steps = asMap(asMap(parseDocument(copied).toJS()).jobs);
  const taken: Pipeline = { ...pipeline, steps: [...pipeline.steps] };
  const renamed = new Map<string, string>();
  for (const step of found.steps) {
    const free = freeName(taken, step.name);
    renamed.set(step.name, free);
    taken.steps.push({ ...step, name: free });
  }
  const pasted = edit(text, (document) => {
    const jobs = document.get("jobs");
    if (isMap(jobs)) jobs.flow = false;
    else document.set("jobs", new YAMLMap());
    for (const [name, free] of renamed) {
      document.setIn(["jobs", free], document.createNode(steps[name]));
      for (const [input, value] of Object.entries(asMap(asMap(steps[name]).inputs))) {
        const [from, output] = boundTo(value) ?? [];
        const to = from && renamed.get(from);
        if (to && output) {
          setValue(document, ["jobs", free, "inputs", input], bindingOf(to, output));
        }
      }
    }
  });
  return [pasted, [...renamed.values()]];
}

/** Why an output cannot be bound to an input; undefined where it can. */
export function whyNot(
  pipeline: Pipeline,
  { from, output, to, input }: Binding,
  components: ReadonlyMap<string, Component>,
): string | undefined {
  if (from === to) return "A step cannot wait for itself.";
  if (pipeline.bindings.some((one) => one.isControl && one.to === to && one.input === input)) {
    return `What ${to} depends on there is written in the text.`;
  }
  if (reaches(pipeline, to, from)) {
    return `${from} already waits for ${to}: the steps would wait for each other.`;
  }
  const named = (name: string) => {
    const step = pipeline.steps.find((one) => one.name === name);
    return step?.component ? components.get(step.component) : undefined;
  };
  const given = named(from)?.outputs[output]?.type;
  const wanted = named(to)?.inputs[input]?.type;
  if (given && wanted && !fits(given, wanted)) {
    return `${to}.${input} takes ${wanted}, ${from}.${output} is ${given}.`;
  }
  return undefined;
}

const FOLDERS = new Set(["uri_folder", "mltable", "mlflow_model", "custom_model"]);
const FILES = new Set(["uri_file", "custom_model"]);

/** Whether a port takes files or folders, not a literal. */
export function isStored(type: string): boolean {
  return FILES.has(type) || FOLDERS.has(type);
}

/** As the server has it (mlq/spec/values.py). */
function fits(given: string, wanted: string): boolean {
  if (given === wanted) return true;
  if (isStored(given) || isStored(wanted)) {
    return [FOLDERS, FILES].some((kind) => kind.has(given) && kind.has(wanted));
  }
  return given === "object" || wanted === "object" || (given === "integer" && wanted === "number");
}

/** A name that no step has yet: where `wanted` is taken, the next number at its end. */
export function freeName(pipeline: Pipeline, wanted: string): string {
  const taken = new Set(pipeline.steps.map((step) => step.name));
  const [, base = wanted, number] = /^(.*?)(?:_(\d+))?$/.exec(wanted) ?? [];
  let name = wanted;
  for (let count = Number(number ?? 1) + 1; taken.has(name); count += 1) name = `${base}_${count}`;
  return name;
}

/** pipeline -> step -> the steps that wait for it, near or far: asked for every output of a form. */
const waiting = new WeakMap<Pipeline, Map<string, ReadonlySet<string>>>();

function reaches(pipeline: Pipeline, start: string, goal: string): boolean {
  const known = waiting.get(pipeline) ?? new Map<string, ReadonlySet<string>>();
  waiting.set(pipeline, known);
  let found = known.get(start);
  if (!found) {
    const next = new Map<string, string[]>();
    for (const { from, to } of pipeline.bindings) next.set(from, [...(next.get(from) ?? []), to]);
    const seen = new Set([start]);
    for (const name of seen) for (const to of next.get(name) ?? []) seen.add(to);
    known.set(start, seen);
    found = seen;
  }
  return found.has(goal);
}

function edit(text: string, change: (document: Document) => void): string {
  const document = parseDocument(text);
  if (document.errors.length > 0) return text;
  change(document);
  // No folding: a line that was not touched must stay the line it was.
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function setValue(document: Document, path: string[], value: unknown) {
  const there = document.getIn(path, true);
  // The node stays, and with it the comment beside it.
  if (isScalar(there) && isPlain(value)) there.value = value;
  else document.setIn(path, document.createNode(value));
  if (typeof value !== "string" || !value.startsWith("${{")) return;
  const node = document.getIn(path, true);
  if (isScalar(node)) node.type = Scalar.QUOTE_DOUBLE;
}

function isPlain(value: unknown): value is string | number | boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}

const BARE = /^(?!(?:true|false|null|yes|no|on|off)$)[a-z_][\w./-]*$/i;

function written(value: string | number | boolean): string {
  return typeof value === "string" && !BARE.test(value) ? JSON.stringify(value) : String(value);
}

function eachInput(
  document: Document,
  visit: (input: string, value: unknown, step: string) => void,
) {
  for (const [step, raw] of Object.entries(asMap(asMap(document.toJS()).jobs))) {
    for (const [input, value] of Object.entries(asMap(asMap(raw).inputs)))
      visit(input, value, step);
  }
}

function asMap(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

import { expect, test } from "vitest";
import type { Component } from "../api/client";
import {
  addStep,
  BLANK,
  copySteps,
  freeName,
  isFault,
  pasteSteps,
  type Pipeline,
  readPipeline,
  removeStep,
  renameStep,
  setInput,
  whyNot,
} from "./pipeline";

const TEXT = `# nightly
type: pipeline
jobs:
  prep:   # cleans
    component: mlq:preprocess
    inputs: {data: "mlq:churn@latest", target: churned}
  fit:
    component: mlq:train
    inputs:
      data: "\${{parent.jobs.prep.outputs.train}}"  # half of it
      C: 0.5  # by hand
`;

function component(name: string, inputs: object, outputs: object): Component {
  const open = { open_inputs: true, is_deterministic: true, description: "", version: "1" };
  return { name, inputs, outputs, ...open } as Component;
}

const COMPONENTS = new Map(
  [
    component("mlq:preprocess", { data: { type: "uri_file" } }, { train: { type: "uri_file" } }),
    component(
      "mlq:train",
      { data: { type: "uri_file" }, seed: { type: "integer", optional: true } },
      { model: { type: "mlflow_model" } },
    ),
  ].map((one) => [one.name, one]),
);

function read(text: string): Pipeline {
  const found = readPipeline(text);
  if (isFault(found)) throw new Error(found.message);
  return found;
}

test("steps and what they take from each other are the picture", () => {
  const { steps, bindings } = read(TEXT);
  expect(steps.map((step) => step.name)).toEqual(["prep", "fit"]);
  expect(bindings).toEqual([{ from: "prep", output: "train", to: "fit", input: "data" }]);
});

const CONTROL = `jobs:
  judge: {command: "true"}
  choose:
    type: if_else
    condition: \${{parent.jobs.judge.outputs.enough}}
    true_block: \${{parent.jobs.party}}
  party: {command: "true"}
  again: {type: do_while, body: "\${{parent.jobs.judge}}"}
  each: {type: parallel_for, body: "\${{parent.jobs.party}}", items: "\${{parent.jobs.judge.outputs.list}}"}
`;

test("a control step is a box with what it waits for and what it may start", () => {
  const { steps, bindings } = read(CONTROL);
  expect(steps.map(({ type }) => type)).toEqual([
    "command",
    "if_else",
    "command",
    "do_while",
    "parallel_for",
  ]);
  expect(bindings.map(({ from, to, input }) => [from, to, input])).toEqual([
    ["judge", "choose", "condition"],
    ["choose", "party", "if"],
    ["judge", "each", "items"],
  ]);
  const why = whyNot(
    read(CONTROL),
    { from: "judge", output: "x", to: "party", input: "if" },
    COMPONENTS,
  );
  expect(why).toMatch(/written in the text/);
});

test("a control step follows the new name of what it names", () => {
  const renamed = read(renameStep(renameStep(CONTROL, "party", "feast"), "judge", "weigh"));
  expect(renamed.bindings.map(({ from, to }) => [from, to])).toEqual([
    ["weigh", "choose"],
    ["choose", "feast"],
    ["weigh", "each"],
  ]);
});

test("bad YAML tells its line", () => {
  expect(readPipeline("type: pipeline\njobs: {\n")).toMatchObject({ line: 3 });
});

test("an edit changes one line and keeps every comment", () => {
  const before = TEXT.split("\n");
  const after = setInput(TEXT, "fit", "C", 0.25).split("\n");
  expect(after.filter((line, index) => line !== before[index])).toEqual([
    "      C: 0.25  # by hand",
  ]);
});

test("what was bound to a step goes with it, or follows its new name", () => {
  expect(read(removeStep(TEXT, "prep")).steps[0]?.inputs).toEqual({ C: 0.5 });
  const renamed = renameStep(TEXT, "prep", "clean");
  expect(read(renamed).bindings[0]?.from).toBe("clean");
  expect(renamed).toContain("# cleans");
  expect(renamed).toContain("# half of it");
});

test("a pipeline drawn from nothing is the same picture when read again", () => {
  let text = addStep(BLANK, "prep", COMPONENTS.get("mlq:preprocess"));
  text = addStep(text, freeName(read(text), "prep"), COMPONENTS.get("mlq:train"));
  text = setInput(text, "prep_2", "data", "${{parent.jobs.prep.outputs.train}}");
  expect(text).toContain('data: "${{parent.jobs.prep.outputs.train}}"');
  expect(read(text)).toMatchObject({
    steps: [{ name: "prep" }, { name: "prep_2", component: "mlq:train" }],
    bindings: [{ from: "prep", to: "prep_2" }],
  });
});

test("impossible bindings are refused with the reason", () => {
  const why = (from: string, output: string, to: string, input: string) =>
    whyNot(read(TEXT), { from, output, to, input }, COMPONENTS);
  expect(why("prep", "train", "fit", "data")).toBeUndefined();
  expect(why("fit", "model", "prep", "data")).toContain("wait for each other");
  expect(why("fit", "model", "fit", "data")).toContain("itself");
  expect(why("prep", "train", "fit", "seed")).toBe(
    "fit.seed takes integer, prep.train is uri_file.",
  );
});

test("steps that are pasted get free names and stay bound among each other", () => {
  const [text, names] = pasteSteps(TEXT, copySteps(TEXT, ["prep", "fit"])) ?? ["", []];
  expect(names).toEqual(["prep_2", "fit_2"]);
  expect(read(text).bindings).toEqual([
    { from: "prep", output: "train", to: "fit", input: "data" },
    { from: "prep_2", output: "train", to: "fit_2", input: "data" },
  ]);
  expect(text).toContain("# by hand");
});

test("a step that is pasted alone takes what the first one takes", () => {
  const [text] = pasteSteps(TEXT, copySteps(TEXT, ["fit"])) ?? [""];
  expect(read(text).bindings.at(-1)).toMatchObject({ from: "prep", to: "fit_2" });
});

test("what holds no steps is not pasted", () => {
  expect(pasteSteps(TEXT, "just words")).toBeUndefined();
  expect(pasteSteps(TEXT, "jobs: {")).toBeUndefined();
});

test("a copy of a copy counts on", () => {
  const [twice] = pasteSteps(TEXT, copySteps(TEXT, ["fit"])) ?? [""];
  const [thrice] = pasteSteps(twice, copySteps(twice, ["fit_2"])) ?? [""];
  expect(read(thrice).steps.map((step) => step.name)).toEqual(["prep", "fit", "fit_2", "fit_3"]);
});

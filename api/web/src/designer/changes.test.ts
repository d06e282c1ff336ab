import { expect, test } from "vitest";
import { changesOf } from "./changes";

const BEFORE = `
display_name: churn
jobs:
  prep: {component: mlq:preprocess, inputs: {data: "mlq:churn:1", keep: [a, b]}}
  old: {type: command, command: echo}
`;
const AFTER = `
display_name: churn
jobs:
  # another order and a comment are no change
  fit: {component: mlq:train}
  prep: {inputs: {keep: [a, b], data: "mlq:churn:2", seed: 1}, component: mlq:preprocess}
`;

test("steps come, go and change, each told once", () => {
  expect(changesOf(BEFORE, AFTER)).toEqual([
    { step: "fit", kind: "added", path: "" },
    {
      step: "prep",
      kind: "changed",
      path: "inputs.data",
      before: "mlq:churn:1",
      after: "mlq:churn:2",
    },
    { step: "prep", kind: "added", path: "inputs.seed", before: undefined, after: "1" },
    { step: "old", kind: "removed", path: "" },
  ]);
});

test("what is not of a step is told without one", () => {
  expect(changesOf("display_name: a\n", "display_name: b\n")).toEqual([
    { kind: "changed", path: "display_name", before: "a", after: "b" },
  ]);
});

test("a file that is no YAML differs in nothing that could be told", () => {
  expect(changesOf(BEFORE, "jobs: {")).toEqual([]);
});

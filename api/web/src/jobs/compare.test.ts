import { expect, test } from "vitest";
import type { Job } from "../api/client";
import { aspectsOf, differences } from "./compare";

function job(over: object): Job {
  return {
    state: "succeeded",
    inputs: {},
    params: {},
    metrics: {},
    children: [],
    ...over,
  } as unknown as Job;
}

test("only what differs is left, missing values count as different", () => {
  const jobs = [
    job({ inputs: { seed: { value: 1 }, data: { uri: "mlq:a:1" } }, metrics: { auc: 0.9 } }),
    job({ inputs: { seed: { value: 1 }, data: { uri: "mlq:a:2" } } }),
  ];
  expect(differences(aspectsOf(jobs))).toEqual([
    { group: "Inputs", name: "data", values: ["mlq:a:1", "mlq:a:2"] },
    { group: "Metrics", name: "auc", values: ["0.9", undefined] },
  ]);
});

test("steps are compared by name, without the ids of what they take from each other", () => {
  const step = (from: string, C: number) =>
    job({ name: "train", inputs: { data: { job: from, output: "x" }, C: { value: C } } });
  const jobs = [job({ children: [step("1", 0.5)] }), job({ children: [step("2", 0.1)] })];
  expect(differences(aspectsOf(jobs)).map(({ name }) => name)).toEqual(["train.C"]);
});

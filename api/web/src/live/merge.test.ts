import { expect, test } from "vitest";
import type { Event, Job } from "../api/client";
import { mergeEvent } from "./merge";

const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, "0")}Z`;

function job(id: string, more: Partial<Job> = {}): Job {
  return {
    id,
    type: "command",
    name: id,
    path: id,
    state: "queued",
    attempt: 0,
    generation: 1,
    priority: 0,
    inputs: {},
    outputs: {},
    params: {},
    metrics: {},
    tags: {},
    root_id: "root",
    created_at: at(0),
    upstreams: [],
    ...more,
  };
}

function event(job_id: string, kind: string, state: string, second: number): Event {
  return { id: `0.${second}`, at: at(second), kind, job_id, state, attempt: 1, generation: 1 };
}

test("a claim makes a step running, deep in its tree", () => {
  const tree = job("root", { children: [job("a"), job("b", { children: [job("c")] })] });
  const merged = mergeEvent(tree, { ...event("c", "job.claim", "running", 5), actor: "w1" });
  const step = merged.children?.[1]?.children?.[0];
  expect(step).toMatchObject({ state: "running", attempt: 1, worker: "w1", started_at: at(5) });
  expect(merged.children?.[0]).toBe(tree.children?.[0]);
});

test("an event from before what is shown changes nothing", () => {
  const done = job("a", { state: "succeeded", started_at: at(5), finished_at: at(9) });
  expect(mergeEvent(done, event("a", "job.claim", "running", 5))).toBe(done);
});

test("an event of another job changes nothing", () => {
  const one = job("a");
  expect(mergeEvent(one, event("b", "job.claim", "running", 5))).toBe(one);
});

test("a retry takes a running step back to the queue", () => {
  const running = job("a", { state: "running", attempt: 1, started_at: at(5) });
  expect(mergeEvent(running, event("a", "job.retry", "queued", 6)).state).toBe("queued");
});

test("an end says how long it took", () => {
  const running = job("a", { state: "running", started_at: at(5) });
  expect(mergeEvent(running, event("a", "job.succeed", "succeeded", 8)).duration_s).toBe(3);
});

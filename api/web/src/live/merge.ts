import type { Event, Job } from "../api/client";

const TERMINAL = new Set(["succeeded", "failed", "canceled", "skipped"]);

export function isTerminal(state: string): boolean {
  return TERMINAL.has(state);
}

function newestTime(job: Job): number {
  const times = [job.created_at, job.queued_at, job.started_at, job.finished_at];
  return Math.max(...times.map((at) => (at ? Date.parse(at) : 0)));
}

/**
 * `job` after `event`; the same object where the event says nothing new about it or its children.
 *
 * An event from before what the job already shows is left out: streams repeat, answers overtake.
 */
export function mergeEvent(job: Job, event: Event): Job {
  if (job.id !== event.job_id) {
    const children = job.children;
    if (!children) return job;
    const index = children.findIndex((child) => mayHold(child, event));
    const child = children[index];
    if (!child) return job;
    const merged = mergeEvent(child, event);
    return merged === child ? job : { ...job, children: children.with(index, merged) };
  }
  if (!event.state || Date.parse(event.at) < newestTime(job)) return job;
  const state = event.state as Job["state"];
  const changed: Job = {
    ...job,
    state,
    reason: event.reason ?? null,
    attempt: event.attempt ?? job.attempt,
    generation: event.generation ?? job.generation,
  };
  if (event.kind === "job.claim") changed.worker = event.actor;
  if (event.kind === "job.claim" || event.kind === "job.start") changed.started_at = event.at;
  if (event.kind === "job.queue") changed.queued_at = event.at;
  changed.finished_at = isTerminal(state) ? event.at : null;
  if (isTerminal(state) && changed.started_at) {
    changed.duration_s = (Date.parse(event.at) - Date.parse(changed.started_at)) / 1000;
  }
  if (state !== "queued" && state !== "pending") changed.waiting_for = null;
  return changed;
}

function mayHold(job: Job, event: Event): boolean {
  return job.id === event.job_id || (job.children ?? []).some((child) => mayHold(child, event));
}

import type { Job } from "../api/client";
import { short } from "../parts/format";

export const MOST_COMPARED = 20;

/** One thing that jobs have in common, and what it is in each. */
export interface Aspect {
  group: "Inputs" | "Parameters" | "Metrics" | "Steps" | "Job";
  name: string;
  values: (string | undefined)[];
}

/** What can be compared of `jobs`; a pipeline's steps count by their name. */
export function aspectsOf(jobs: readonly Job[]): Aspect[] {
  const found = new Map<string, Aspect>();
  jobs.forEach((job, index) => {
    const put = (group: Aspect["group"], name: string, value: unknown) => {
      if (value === undefined || value === null) return;
      const key = `${group} ${name}`;
      const aspect = found.get(key) ?? { group, name, values: jobs.map(() => undefined) };
      aspect.values[index] = typeof value === "number" ? String(value) : short(value);
      found.set(key, aspect);
    };
    put("Job", "state", job.state);
    put("Job", "seconds", job.duration_s);
    for (const [name, input] of Object.entries(job.inputs)) put("Inputs", name, told(input));
    for (const [name, value] of Object.entries(job.params ?? {})) put("Parameters", name, value);
    for (const [name, value] of Object.entries(job.metrics)) put("Metrics", name, value);
    for (const step of job.children ?? []) {
      put("Steps", `${step.name}: state`, step.state);
      for (const [name, input] of Object.entries(step.inputs)) {
        // Outputs of other steps have an id each time; what went into them is compared itself.
        if (!isBound(input)) put("Inputs", `${step.name}.${name}`, told(input));
      }
      for (const [name, value] of Object.entries(step.metrics)) {
        put("Metrics", `${step.name}.${name}`, value);
      }
    }
  });
  return [...found.values()];
}

/** Those in which at least two of the jobs differ. */
export function differences(aspects: readonly Aspect[]): Aspect[] {
  return aspects.filter(({ values }) => new Set(values).size > 1);
}

function told(input: unknown): unknown {
  if (typeof input !== "object" || input === null) return input;
  const { value, uri, digest } = input as { value?: unknown; uri?: string; digest?: string };
  return value ?? uri ?? digest;
}

function isBound(input: unknown): boolean {
  return typeof input === "object" && input !== null && "job" in input;
}

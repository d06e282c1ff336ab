import { parse } from "yaml";
import { short } from "../parts/format";

/** One thing in which two job files differ. step: absent for what is not of a step. */
export interface Change {
  step?: string;
  kind: "added" | "removed" | "changed";
  /** Within the step, such as `inputs.C`; empty for a step as a whole. */
  path: string;
  before?: string;
  after?: string;
}

/** How `after` differs from `before`; nothing where either is no YAML. */
export function changesOf(before: string, after: string): Change[] {
  const [old, now] = [read(before), read(after)];
  if (!old || !now) return [];
  const { jobs: oldJobs, ...oldRest } = old;
  const { jobs: nowJobs, ...nowRest } = now;
  const [oldSteps, nowSteps] = [asMap(oldJobs), asMap(nowJobs)];
  const names = [...new Set([...Object.keys(nowSteps), ...Object.keys(oldSteps)])];
  return [
    ...differences(oldRest, nowRest),
    ...names.flatMap((step): Change[] => {
      if (!(step in oldSteps)) return [{ step, kind: "added", path: "" }];
      if (!(step in nowSteps)) return [{ step, kind: "removed", path: "" }];
      return differences(oldSteps[step], nowSteps[step], step);
    }),
  ];
}

function differences(before: unknown, after: unknown, step?: string): Change[] {
  const [old, now] = [flatten(before), flatten(after)];
  const paths = [...new Set([...now.keys(), ...old.keys()])];
  return paths
    .filter((path) => old.get(path) !== now.get(path))
    .map((path) => ({
      ...(step !== undefined && { step }),
      kind: !old.has(path) ? "added" : !now.has(path) ? "removed" : "changed",
      path,
      before: old.get(path),
      after: now.get(path),
    }));
}

/** path -> value, of everything below; lists count as one value. */
function flatten(value: unknown, path = "", found = new Map<string, string>()) {
  const map = asMap(value);
  if (path !== "" && Object.keys(map).length === 0) found.set(path, short(value));
  for (const [key, below] of Object.entries(map)) {
    flatten(below, path ? `${path}.${key}` : key, found);
  }
  return found;
}

function read(text: string): Record<string, unknown> | undefined {
  try {
    return asMap(parse(text));
  } catch {
    return undefined;
  }
}

function asMap(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

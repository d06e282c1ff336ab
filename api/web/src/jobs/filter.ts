import type { State } from "../api/client";

/** What `GET /v1/jobs` filters by; absent keys do not filter. */
export interface JobFilter {
  state?: State;
  experiment?: string;
  name?: string;
  parent?: "any";
  archived?: boolean;
}

export const STATES: readonly State[] = [
  "pending",
  "queued",
  "running",
  "waiting",
  "succeeded",
  "failed",
  "canceled",
  "skipped",
];

/** A filter out of anything, such as a pasted address; what makes no sense is left out. */
export function filterOf(search: Record<string, unknown>): JobFilter {
  const filter: JobFilter = {};
  const state = STATES.find((one) => one === search.state);
  if (state) filter.state = state;
  if (search.experiment) filter.experiment = String(search.experiment);
  if (search.name) filter.name = String(search.name);
  if (search.parent === "any") filter.parent = "any";
  if (search.archived === true) filter.archived = true;
  return filter;
}

/** The filter that a line of words means: `state:failed experiment:churn nightly`. */
export function parseFilter(line: string): JobFilter {
  const search: Record<string, unknown> = {};
  const words: string[] = [];
  for (const [, key, quoted, plain] of line.matchAll(/(?:(\w+):)?(?:"([^"]*)"|(\S+))/g)) {
    const value = quoted ?? plain ?? "";
    if (key === "state" || key === "experiment" || key === "name") search[key] = value;
    else if (key === "is" && value === "archived") search.archived = true;
    else if (key === "is" && value === "step") search.parent = "any";
    else words.push(key ? `${key}:${value}` : value);
  }
  if (words.length > 0) search.name = words.join(" ");
  return filterOf(search);
}

/** The line of words that means `filter`. */
export function formatFilter(filter: JobFilter): string {
  const quote = (value: string) => (/\s/.test(value) ? `"${value}"` : value);
  return [
    filter.state && `state:${filter.state}`,
    filter.experiment && `experiment:${quote(filter.experiment)}`,
    filter.name && `name:${quote(filter.name)}`,
    filter.parent && "is:step",
    filter.archived && "is:archived",
  ]
    .filter(Boolean)
    .join(" ");
}

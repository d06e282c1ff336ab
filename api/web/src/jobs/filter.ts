import type { State } from "../api/client";

/** What `GET /v1/jobs` filters by; absent keys do not filter. */
export interface JobFilter {
  state?: State;
  experiment?: string;
  name?: string;
  parent?: "any";
  archived?: boolean;
  /** Conditions on metrics, such as `accuracy>0.9`, with spaces between them. */
  where?: string;
}

const CONDITION =
  /^(?:metrics?\.)?([^\s<>=!:"]+)(>=|<=|!=|>|<|=)(-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)$/i;

/** The conditions of a filter, one by one. */
export function conditionsOf({ where }: JobFilter): string[] {
  return (where ?? "").split(/\s+/).filter((one) => CONDITION.test(one));
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
  const conditions = conditionsOf({ where: search.where ? String(search.where) : undefined });
  if (conditions.length > 0) filter.where = conditions.join(" ");
  return filter;
}

/** The filter that a line of words means: `state:failed experiment:churn nightly`. */
export function parseFilter(line: string): JobFilter {
  const search: Record<string, unknown> = {};
  const words: string[] = [];
  const conditions: string[] = [];
  for (const [, key, quoted, plain] of line.matchAll(/(?:(\w+):)?(?:"([^"]*)"|(\S+))/g)) {
    const value = quoted ?? plain ?? "";
    if (key === "state" || key === "experiment" || key === "name") search[key] = value;
    else if (key === "is" && value === "archived") search.archived = true;
    else if (key === "is" && value === "step") search.parent = "any";
    else if (!key && CONDITION.test(value)) {
      const [, metric, operator, number] = CONDITION.exec(value)!;
      conditions.push(`${metric}${operator}${number}`);
    } else words.push(key ? `${key}:${value}` : value);
  }
  if (conditions.length > 0) search.where = conditions.join(" ");
  if (words.length > 0) search.name = words.join(" ");
  return filterOf(search);
}

/** What a list of jobs shows: a filter, and the metrics that have columns. */
export interface JobListSearch extends JobFilter {
  /** Names with commas between them, so that an address stays readable. */
  columns?: string;
}

export const MOST_COLUMNS = 8;

export function jobListSearchOf(search: Record<string, unknown>): JobListSearch {
  const columns = columnsOf(search.columns ? String(search.columns) : undefined);
  return {
    ...filterOf(search),
    ...(columns.length > 0 && { columns: columns.join(",") }),
  };
}

/** Names of metrics out of an address. */
export function columnsOf(columns: string | undefined): string[] {
  const names = (columns ?? "").split(",").map((name) => name.trim());
  return [...new Set(names.filter(Boolean))].slice(0, MOST_COLUMNS);
}

export interface Words {
  names: readonly string[];
  experiments: readonly string[];
  metrics?: readonly string[];
}

const KEYS = ["state:", "experiment:", "is:step", "is:archived"];
const MOST_COMPLETED = 8;

/** Lines that `line` may become: its last word completed. */
export function completionsOf(line: string, { names, experiments, metrics = [] }: Words): string[] {
  const [, before = "", word = ""] = /^(.*\s)?(\S*)$/s.exec(line) ?? [];
  const [, key, begun] = /^(\w+:)(.*)$/.exec(word) ?? [];
  const quote = (value: string) => (/\s/.test(value) ? `"${value}"` : value);
  const of = (values: readonly string[]) =>
    values
      .filter((value) =>
        value.toLowerCase().startsWith((begun ?? word).replace('"', "").toLowerCase()),
      )
      .map((value) => `${key ?? ""}${quote(value)}`);
  const hasName = parseFilter(before).name !== undefined;
  const found =
    key === "state:"
      ? of(STATES)
      : key === "experiment:"
        ? of(experiments)
        : key
          ? KEYS.filter((one) => one.startsWith(word))
          : [
              ...KEYS.filter((one) => one.startsWith(word)),
              ...(hasName ? [] : of(names)),
              ...(word ? of(metrics).map((metric) => `${metric}>`) : []),
            ];
  return found
    .filter((one) => one !== word)
    .slice(0, MOST_COMPLETED)
    .map((one) => before + one);
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
    ...conditionsOf(filter),
  ]
    .filter(Boolean)
    .join(" ");
}

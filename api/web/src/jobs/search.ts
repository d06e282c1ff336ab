export const JOB_TABS = [
  "sweep",
  "flow",
  "timeline",
  "steps",
  "log",
  "parameters",
  "history",
  "file",
] as const;
export type JobTab = (typeof JOB_TABS)[number];

export const STEP_TABS = ["log", "data", "metrics", "history", "details"] as const;
export type StepTab = (typeof STEP_TABS)[number];

/** What of a job is shown, as its address says. step: path or name of the step that is selected. */
export interface JobSearch {
  tab?: JobTab;
  step?: string;
  view?: StepTab;
}

export function jobSearchOf(search: Record<string, unknown>): JobSearch {
  return {
    tab: JOB_TABS.find((tab) => tab === search.tab),
    step: search.step ? String(search.step) : undefined,
    view: STEP_TABS.find((tab) => tab === search.view),
  };
}

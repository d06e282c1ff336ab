/** What the designer shows: a job's file, or a version of a batch deployment; else the draft. */
export interface DesignerSearch {
  from?: string;
  endpoint?: string;
  deployment?: string;
  version?: number;
  step?: string;
  /** What the file is compared with: as it was opened, or a version of the deployment. */
  against?: "opened" | number;
}

export function designerSearchOf(search: Record<string, unknown>): DesignerSearch {
  const text = (key: string) => (search[key] ? String(search[key]) : undefined);
  return {
    from: text("from"),
    endpoint: text("endpoint"),
    deployment: text("deployment"),
    version: Number(search.version) || undefined,
    step: text("step"),
    against: search.against === "opened" ? "opened" : Number(search.against) || undefined,
  };
}

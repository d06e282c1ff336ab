import { formatFilter, type JobListSearch, jobListSearchOf } from "./filter";

/** A filter and its columns under a name, kept in the browser. */
export interface SavedView {
  name: string;
  search: JobListSearch;
}

export const VIEWS_KEY = "mlq.job-views";

/** What was kept, whatever it may be by now. */
export function readViews(kept: string | undefined): SavedView[] {
  let found: unknown;
  try {
    found = JSON.parse(kept ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(found)) return [];
  return found.flatMap((one: unknown): SavedView[] => {
    const { name, search } = (one ?? {}) as { name?: unknown; search?: Record<string, unknown> };
    return typeof name === "string" && name
      ? [{ name, search: jobListSearchOf(search ?? {}) }]
      : [];
  });
}

/** The views with one more, in place of one of that name. */
export function keepView(views: readonly SavedView[], view: SavedView): SavedView[] {
  return [...views.filter((one) => one.name !== view.name), view].toSorted((one, other) =>
    one.name.localeCompare(other.name),
  );
}

/** What a view shows, in a line. */
export function viewWords({ columns, ...filter }: JobListSearch): string {
  return [formatFilter(filter) || "all jobs", columns && `with ${columns.replaceAll(",", ", ")}`]
    .filter(Boolean)
    .join(", ");
}

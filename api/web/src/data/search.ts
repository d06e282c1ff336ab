export const DATA_VIEWS = ["rows", "columns", "changes", "lineage"] as const;
export type DataView = (typeof DATA_VIEWS)[number];

/** Which version of a dataset is shown, and what of it. base: the one that it is compared with. */
export interface DataSearch {
  version?: number;
  view?: DataView;
  base?: number;
}

export function dataSearchOf(search: Record<string, unknown>): DataSearch {
  return {
    version: Number(search.version) || undefined,
    view: DATA_VIEWS.find((view) => view === search.view),
    base: Number(search.base) || undefined,
  };
}

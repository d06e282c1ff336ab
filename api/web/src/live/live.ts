import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import type { Event, Job } from "../api/client";
import { mergeEvent } from "./merge";
import { followEvents, type LinkState } from "./stream";

const SETTLE_MS = 700;

interface Live {
  link: LinkState;
  /** Root jobs submitted since the list of jobs was last read. */
  submitted: number;
}

let live: Live = { link: "connecting", submitted: 0 };
const listeners = new Set<() => void>();

function set(change: Partial<Live>) {
  live = { ...live, ...change };
  listeners.forEach((listener) => listener());
}

/** Whether the page is live, and what arrived that it does not show yet. */
export function useLive(): Live {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => live,
  );
}

export function forgetSubmitted() {
  if (live.submitted > 0) set({ submitted: 0 });
}

/** Keys of what an event may have changed, beyond the states that it carries itself. */
export function touchedBy(event: Event): QueryKey[] {
  const [noun] = event.kind.split(".");
  const name = event.subject?.replace(/^models:\/|^[\w-]+:/, "").split("/")[0] ?? "";
  switch (noun) {
    case "job":
      return [
        ["queues"],
        ["job-events", event.job_id ?? ""],
        ["job-metrics", event.job_id ?? ""],
        ...(event.kind === "job.wait" || event.kind === "job.decide" || event.kind === "job.cancel"
          ? [["approvals"]]
          : []),
      ];
    case "model":
      // Deployments follow aliases.
      return [["models"], ["model", name], ["endpoints"], ["endpoint"], ["lineage"]];
    case "endpoint":
    case "rollout":
      return [["endpoints"], ["endpoint", name]];
    case "data":
      return [["data"]];
    case "token":
      return [["tokens"], ["audit"]];
    case "project":
      return [["projects"], ["audit"]];
    case "schedule":
      return [["schedules"], ["schedule", name]];
    case "batch":
      return [["batch-endpoints"], ["batch-endpoint", name]];
    case "limit":
      return [["limits"], ["quotas"], ["audit"]];
    case "webhook":
      return [["webhooks"]];
    case "worker":
      return [["workers"], ["queues"]];
    default:
      return [];
  }
}

/** Keep everything that is shown up to date, for as long as the component lives. */
export function useLiveUpdates(queries: QueryClient) {
  useEffect(() => {
    const dirty = new Map<string, QueryKey>();
    const dirtyRoots = new Set<string>();
    let timer: number | undefined;

    function settle() {
      timer = undefined;
      for (const key of dirty.values()) void queries.invalidateQueries({ queryKey: key });
      void queries.invalidateQueries({
        predicate: ({ queryKey, state }) =>
          queryKey[0] === "job" && dirtyRoots.has((state.data as Job | undefined)?.root_id ?? ""),
      });
      dirty.clear();
      dirtyRoots.clear();
    }

    const end = followEvents({
      onState: (link) => set({ link }),
      onGap: () => void queries.invalidateQueries(),
      onEvent: (event) => {
        if (event.kind === "job.submit" && event.job_id === event.root_id) {
          set({ submitted: live.submitted + 1 });
        }
        if (event.job_id) {
          queries.setQueriesData<Job>({ queryKey: ["job"] }, (job) =>
            job && job.root_id === event.root_id ? mergeEvent(job, event) : job,
          );
          queries.setQueriesData<JobPages>({ queryKey: ["jobs"] }, (pages) =>
            pages ? mergePages(pages, event) : pages,
          );
          dirtyRoots.add(event.root_id ?? "");
        }
        for (const key of touchedBy(event)) dirty.set(JSON.stringify(key), key);
        timer ??= window.setTimeout(settle, SETTLE_MS);
      },
    });
    return () => {
      end();
      window.clearTimeout(timer);
    };
  }, [queries]);
}

interface JobPages {
  pages: { items: Job[]; next_cursor?: string | null }[];
  pageParams: unknown[];
}

/** Pages of a list after `event`, which changes rows in place and never moves them. */
export function mergePages(pages: JobPages, event: Event): JobPages {
  let changed = false;
  const merged = pages.pages.map((page) => {
    const index = page.items.findIndex((job) => job.id === event.job_id);
    const job = page.items[index];
    if (!job) return page;
    const after = mergeEvent(job, event);
    if (after === job) return page;
    changed = true;
    return { ...page, items: page.items.with(index, after) };
  });
  return changed ? { ...pages, pages: merged } : pages;
}

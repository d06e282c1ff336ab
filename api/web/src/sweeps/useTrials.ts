import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { client, take, type Trial } from "../api/client";

const PAGE = 500;
const REFRESH_MS = 2000;
const ENDED = new Set(["succeeded", "failed", "canceled", "skipped"]);

interface TrialPage {
  items: Trial[];
  next_cursor?: string | null;
}

/**
 * All trials of a sweep by number, read again every two seconds while `isOpen`.
 *
 * A page whose trials have all ended is never read twice.
 */
export function useTrials(id: string, isOpen: boolean) {
  const [pages] = useState(() => new Map<string, TrialPage>());
  useEffect(() => () => pages.clear(), [id, pages]);
  return useQuery({
    queryKey: ["trials", id],
    queryFn: async () => {
      const all: Trial[] = [];
      let cursor: string | undefined;
      for (;;) {
        const page = await readPage(pages, id, cursor);
        all.push(...page.items);
        if (!page.next_cursor) return all;
        cursor = page.next_cursor;
      }
    },
    refetchInterval: isOpen ? REFRESH_MS : false,
    structuralSharing: false,
  });
}

async function readPage(
  pages: Map<string, TrialPage>,
  id: string,
  cursor: string | undefined,
): Promise<TrialPage> {
  const kept = pages.get(cursor ?? "");
  if (kept?.next_cursor && kept.items.every((trial) => ENDED.has(trial.state))) return kept;
  const page = await take(
    client.GET("/v1/jobs/{ref}/trials", {
      params: { path: { ref: id }, query: { limit: PAGE, cursor } },
    }),
  );
  pages.set(cursor ?? "", page);
  return page;
}

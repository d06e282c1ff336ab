import { useEffect, useState } from "react";
import { address } from "../api/root";
import type { LogChunk } from "../api/client";
import { appendChunk, type LogLine } from "./log";

const MOST_LINES = 50_000;
const RETRY_MS = 2000;
const PAINT_MS = 100;

export interface Log {
  lines: readonly LogLine[];
  hasEnded: boolean;
  isBroken: boolean;
}

const NOTHING: Log = { lines: [], hasEnded: false, isBroken: false };

/** What a job prints, as it prints it; goes on without a gap after an interruption. */
export function useLog(id: string, attempt?: number): Log {
  const [log, setLog] = useState(NOTHING);
  useEffect(() => {
    setLog(NOTHING);
    let source: EventSource | undefined;
    let last = "";
    let retry: number | undefined;
    let paint: number | undefined;
    let waiting: LogChunk[] = [];

    function flush() {
      window.clearTimeout(paint);
      paint = undefined;
      const chunks = waiting;
      waiting = [];
      setLog((before) => ({
        ...before,
        isBroken: false,
        lines: chunks.reduce<readonly LogLine[]>(
          (lines, chunk) => appendChunk(lines, chunk, MOST_LINES),
          before.lines,
        ),
      }));
    }

    function open() {
      const query = new URLSearchParams({ follow: "true" });
      if (attempt) query.set("attempt", String(attempt));
      if (last) query.set("after", last);
      const opened = new EventSource(address(`/v1/jobs/${id}/logs?${query}`));
      source = opened;
      opened.onmessage = (message: MessageEvent<string>) => {
        last = message.lastEventId || last;
        waiting.push(JSON.parse(message.data) as LogChunk);
        paint ??= window.setTimeout(flush, PAINT_MS);
      };
      opened.addEventListener("end", () => {
        opened.close();
        flush();
        setLog((before) => ({ ...before, hasEnded: true }));
      });
      opened.onerror = () => {
        setLog((before) => ({ ...before, isBroken: true }));
        if (opened.readyState === EventSource.CLOSED) retry = window.setTimeout(open, RETRY_MS);
      };
    }

    open();
    return () => {
      source?.close();
      window.clearTimeout(retry);
      window.clearTimeout(paint);
    };
  }, [id, attempt]);
  return log;
}

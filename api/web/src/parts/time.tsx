import { useEffect, useState, useSyncExternalStore } from "react";
import type { Job } from "../api/client";
import { ago, duration } from "./format";

let now = Date.now();
const listeners = new Set<() => void>();
let timer: number | undefined;

function subscribe(listener: () => void) {
  listeners.add(listener);
  // One clock for the whole page, running only while something shows it.
  timer ??= window.setInterval(() => {
    now = Date.now();
    listeners.forEach((tell) => tell());
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The present, once a second, in ms. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** A time as it is said, exact on hover. */
export function Ago({ at }: { at: string | null | undefined }) {
  const present = useNow();
  if (!at) return <>–</>;
  return (
    <time dateTime={at} title={`${new Date(at).toLocaleString()} (${at})`}>
      {ago(at, Math.max(present, Date.now()))}
    </time>
  );
}

/** A time to come as it is said, exact on hover. */
export function Until({ at }: { at: string | null | undefined }) {
  const present = useNow();
  if (!at) return <>–</>;
  const seconds = (Date.parse(at) - Math.max(present, Date.now())) / 1000;
  return (
    <time dateTime={at} title={`${new Date(at).toLocaleString()} (${at})`}>
      {seconds <= 0 ? "now" : `in ${duration(Math.max(1, Math.round(seconds)))}`}
    </time>
  );
}

/** How long a job has run; goes on while it does. */
export function Took({ job }: { job: Job }) {
  if (job.state === "running" || job.state === "waiting") return <Running job={job} />;
  return (
    <>{job.duration_s === null || job.duration_s === undefined ? "–" : duration(job.duration_s)}</>
  );
}

function Running({ job }: { job: Job }) {
  const present = useNow();
  // From the server's measure on, so that clocks that disagree do not show.
  const [read, setRead] = useState({ at: Date.now(), seconds: job.duration_s ?? 0 });
  useEffect(() => setRead({ at: Date.now(), seconds: job.duration_s ?? 0 }), [job.duration_s]);
  return <>{duration(Math.floor(read.seconds + Math.max(0, present - read.at) / 1000))}</>;
}

import {
  Ban,
  CircleCheck,
  CircleDashed,
  CircleX,
  Clock,
  Hand,
  LoaderCircle,
  type LucideIcon,
  SkipForward,
} from "lucide-react";
import type { Job, State } from "../api/client";

// A shape for each state: colour is never the only sign.
const ICONS: Record<State, LucideIcon> = {
  pending: CircleDashed,
  queued: Clock,
  running: LoaderCircle,
  waiting: Hand,
  succeeded: CircleCheck,
  failed: CircleX,
  canceled: Ban,
  skipped: SkipForward,
};

export function StateIcon({ state, size = 16 }: { state: State; size?: number }) {
  const Icon = ICONS[state];
  return (
    <Icon
      size={size}
      aria-hidden
      className={`${state} ${state === "running" ? "spin" : ""}`}
      style={{ flex: "none" }}
    />
  );
}

/** A job's state in words, with its reason. */
export function StateWords({
  job,
}: {
  job: Pick<Job, "state" | "reason"> & Partial<Pick<Job, "cancel_requested_at">>;
}) {
  const isStopping = job.cancel_requested_at && (job.state === "running" || job.state === "queued");
  return (
    <span className={`state ${job.state}`}>
      <StateIcon state={job.state} />
      {isStopping ? "canceling" : job.state}
      {job.reason && job.reason !== "error" && <span className="quiet">({job.reason})</span>}
    </span>
  );
}

import { UnstyledButton } from "@mantine/core";
import { Fragment } from "react";
import type { Job } from "../api/client";
import { isTerminal } from "../live/merge";
import { StateIcon } from "../parts/state";
import { Took, useNow } from "../parts/time";

const percent = (share: number) => `${Math.min(100, Math.max(0, share * 100)).toFixed(2)}%`;

interface Props {
  job: Job;
  steps: Job[];
  onSelect: (step: Job) => void;
}

/** When each step waited (pale) and ran, over the time of the whole. */
export function GanttChart({ job, steps, onSelect }: Props) {
  const now = useNow();
  const start = Date.parse(job.created_at);
  const end = isTerminal(job.state) && job.finished_at ? Date.parse(job.finished_at) : now;
  const share = (at: string | null | undefined) =>
    ((at ? Date.parse(at) : end) - start) / Math.max(1, end - start);
  return (
    <div className="bars" role="list" aria-label="Steps over time">
      {steps.map((step) => (
        <Fragment key={step.id}>
          <UnstyledButton className="state" onClick={() => onSelect(step)} role="listitem">
            <StateIcon state={step.state} size={14} />
            <span style={{ overflow: "hidden", textOverflow: "ellipsis", fontSize: "0.85rem" }}>
              {step.name}
            </span>
          </UnstyledButton>
          <div className={`bar-track ${step.state}`}>
            {step.queued_at && (
              <div
                className="bar wait"
                style={{
                  left: percent(share(step.queued_at)),
                  width: percent(share(step.started_at) - share(step.queued_at)),
                }}
              />
            )}
            {step.started_at && (
              <div
                className="bar"
                style={{
                  left: percent(share(step.started_at)),
                  width: percent(share(step.finished_at) - share(step.started_at)),
                }}
              />
            )}
          </div>
          <span>
            <Took job={step} />
          </span>
        </Fragment>
      ))}
    </div>
  );
}

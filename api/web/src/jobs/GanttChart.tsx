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
export function GanttChart(props: Props) {
  const { job } = props;
  if (!isTerminal(job.state) || !job.finished_at) return <Growing {...props} />;
  return <Bars {...props} end={Date.parse(job.finished_at)} />;
}

function Growing(props: Props) {
  return <Bars {...props} end={useNow()} />;
}

/** end: of the time that is shown, in ms. */
function Bars({ job, steps, onSelect, end }: Props & { end: number }) {
  const start = Date.parse(job.created_at);
  const share = (at: string | null | undefined) =>
    ((at ? Date.parse(at) : end) - start) / Math.max(1, end - start);
  return (
    <div className="bars" role="list" aria-label="Steps over time">
      {steps.map((step) => (
        <Fragment key={step.id}>
          <div role="listitem" style={{ minWidth: 0 }}>
            <button type="button" className="state bar-name" onClick={() => onSelect(step)}>
              <StateIcon state={step.state} size={14} />
              <span>{step.name}</span>
            </button>
          </div>
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

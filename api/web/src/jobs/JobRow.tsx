import { Link } from "@tanstack/react-router";
import type { CSSProperties } from "react";
import type { Job } from "../api/client";
import { number } from "../parts/format";
import { StateWords } from "../parts/state";
import { Ago, Took } from "../parts/time";

/** What a job is called; a step by its path. */
export function jobName(job: Job): string {
  return job.path || job.display_name || job.name || job.id;
}

/** columns: metrics that have one each; without any the first ones that a job has are told. */
export function JobHead({ columns = [] }: { columns?: readonly string[] }) {
  return (
    <div className="row job-row head" role="row" style={shapeOf(columns)}>
      <span role="columnheader">Job</span>
      <span role="columnheader">State</span>
      <span role="columnheader">Took</span>
      {columns.length === 0 && (
        <span role="columnheader" className="wide">
          Metrics
        </span>
      )}
      {columns.map((name) => (
        <span key={name} role="columnheader" className="wide" title={name}>
          {name}
        </span>
      ))}
      <span role="columnheader" className="wide">
        By
      </span>
      <span role="columnheader" className="wide">
        Submitted
      </span>
    </div>
  );
}

const SHORT_REM = 6.5;

/** How wide the columns of metrics are, and with them the row. */
export function shapeOf(columns: readonly string[]): CSSProperties {
  if (columns.length === 0) return {};
  return {
    "--metric-columns": `repeat(${columns.length}, minmax(${SHORT_REM}rem, 1fr))`,
    "--least-width": `${44 + columns.length * (SHORT_REM + 0.75)}rem`,
  } as CSSProperties;
}

interface RowProps {
  job: Job;
  columns?: readonly string[];
  isChosen?: boolean;
  /** Absent where jobs are not chosen. */
  onChoose?: () => void;
}

export function JobRow({ job, columns = [], isChosen, onChoose }: RowProps) {
  const metrics = Object.entries(job.metrics).slice(0, 2);
  return (
    <div className="row job-row" role="row" style={{ height: 44, ...shapeOf(columns) }}>
      <span role="cell" title={job.error?.message ?? job.waiting_for ?? undefined}>
        {onChoose && (
          <input
            type="checkbox"
            className="choose"
            aria-label={`Choose ${jobName(job)}, ${job.id}`}
            checked={isChosen}
            onChange={onChoose}
          />
        )}
        <Link to="/jobs/$ref" params={{ ref: job.id }} className="plain">
          {jobName(job)}
        </Link>{" "}
        <span className="quiet" style={{ fontSize: "0.8rem" }}>
          {job.error?.message ?? job.waiting_for ?? job.type}
        </span>
      </span>
      <span role="cell">
        <StateWords job={job} />
      </span>
      <span role="cell">
        <Took job={job} />
      </span>
      {columns.length === 0 && (
        <span role="cell" className="wide quiet">
          {metrics.map(([name, value]) => `${name} ${number(value)}`).join(" · ")}
        </span>
      )}
      {columns.map((name) => (
        <span key={name} role="cell" className="wide">
          {number(job.metrics[name])}
        </span>
      ))}
      <span role="cell" className="wide">
        {job.submitted_by}
      </span>
      <span role="cell" className="wide">
        <Ago at={job.created_at} />
      </span>
    </div>
  );
}

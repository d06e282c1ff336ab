import { Link } from "@tanstack/react-router";
import type { Job } from "../api/client";
import { number } from "../parts/format";
import { StateWords } from "../parts/state";
import { Ago, Took } from "../parts/time";

/** What a job is called; a step by its path. */
export function jobName(job: Job): string {
  return job.path || job.display_name || job.name || job.id;
}

export function JobHead() {
  return (
    <div className="row job-row head" role="row">
      <span role="columnheader">Job</span>
      <span role="columnheader">State</span>
      <span role="columnheader">Took</span>
      <span role="columnheader" className="wide">
        Metrics
      </span>
      <span role="columnheader" className="wide">
        By
      </span>
      <span role="columnheader" className="wide">
        Submitted
      </span>
    </div>
  );
}

export function JobRow({ job }: { job: Job }) {
  const metrics = Object.entries(job.metrics).slice(0, 2);
  return (
    <div className="row job-row" role="row" style={{ height: 44 }}>
      <span role="cell" title={job.error?.message ?? job.waiting_for ?? undefined}>
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
      <span role="cell" className="wide quiet">
        {metrics.map(([name, value]) => `${name} ${number(value)}`).join(" · ")}
      </span>
      <span role="cell" className="wide">
        {job.submitted_by}
      </span>
      <span role="cell" className="wide">
        <Ago at={job.created_at} />
      </span>
    </div>
  );
}

"""Pipelines of Python functions in a test: no server, no worker, every output looked at."""

from __future__ import annotations

from mlq.sdk.local import LocalRun
from mlq.sdk.pipelines import PipelineJob

__all__ = ["LocalRun", "run_inline"]


def run_inline(job: PipelineJob) -> LocalRun:
    """Run a pipeline with its arguments in this process: `run_inline(churn(rows="rows.csv"))`.

    Outputs go through the same files as between workers. What a step raises comes out of here.
    """
    return job.run_locally()

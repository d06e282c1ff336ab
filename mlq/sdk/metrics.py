"""`mlq.log_metric`: how a script reports numbers to the job that runs it."""

from __future__ import annotations

import json
import os
import sys

from mlq.errors import MlqError

#: Names the file that a running command appends its metrics to; set by the worker.
METRICS_VARIABLE = "MLQ_METRICS_FILE"

_told = False


def log_metric(key: str, value: float, step: int = 0) -> None:
    """Report a value of a metric of this job.

    key: up to 255 characters. step: 0 for a final value, else the fold, epoch or iteration, so that
    early termination can compare trials on their way. Outside a job the value goes to stderr.
    Raises MlqError for a value that is no number.
    """
    global _told
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise MlqError(
            f"The metric '{key}' must be a number; got {value!r:.80}.", code="bad_metric"
        ) from None
    path = os.environ.get(METRICS_VARIABLE)
    if path is None:
        if not _told:
            print("mlq: not in a job; metrics are printed only.", file=sys.stderr)
            _told = True
        print(f"mlq: {key} = {number:g}" + (f" at step {step}" if step else ""), file=sys.stderr)
        return
    line = json.dumps({"key": str(key), "value": number, "step": int(step)})
    # a single write to a file opened for appending: processes of one job do not mix their lines
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, line.encode() + b"\n")
    finally:
        os.close(descriptor)

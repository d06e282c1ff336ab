"""The Celery app of the workers: `celery -A mlq_workers worker -Q cpu`.

`mlq worker` starts the same app with the options mlq would choose.
"""

from __future__ import annotations

import warnings
from typing import Any

from celery import signals
from celery.exceptions import Ignore, SecurityWarning

from mlq import crash
from mlq.broker import STEP_TASK, make_app
from mlq.settings import load_settings
from mlq_workers import process
from mlq_workers.batching import BatchedEvents
from mlq_workers.keeping import KeeperStep

# Celery warns of root because of pickle. mlq's messages are JSON and name a job by its id; as whom
# a worker runs is the choice of whoever starts it, and in containers it is mostly root.
warnings.filterwarnings("ignore", "You're running the worker with superuser", SecurityWarning)

settings = load_settings()
app = make_app(settings)
app.conf.worker_consumer = "mlq_workers.consumer:Consumer"
app.steps["worker"].add(KeeperStep)
app.steps["consumer"].add(BatchedEvents)


@app.task(name=STEP_TASK, ignore_result=True, typing=False)  # type: ignore[untyped-decorator]
def step(job_id: str) -> None:
    """Execute one leaf. Ignore ends the chain quietly: its next link is not due."""
    crash.reach("message.acknowledged")
    if not process.executor(settings).execute(job_id):
        raise Ignore
    crash.reach("message.before_next_link")


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _prepare_process(**_: Any) -> None:
    process.end_if_orphaned()
    process.executor(settings)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _begin_to_drain(**_: Any) -> None:
    process.begin_to_drain(settings)

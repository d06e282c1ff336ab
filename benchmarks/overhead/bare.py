"""The yardstick: a bare Celery app with a task that does nothing, on the same broker."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("bare", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=os.environ["BENCH_BROKER_URL"].startswith("redis"),
    worker_send_task_events=os.environ["BENCH_TASK_EVENTS"] == "on",
    task_default_queue=os.environ["BENCH_QUEUE"],
    worker_hijack_root_logger=False,
)
if app.conf.broker_url.startswith("redis"):
    app.conf.broker_transport_options = {"socket_keepalive": True}


@app.task(name="bare.step")  # type: ignore[untyped-decorator]
def step(number: int) -> None:
    """Do nothing."""


@app.task(name="bare.last")  # type: ignore[untyped-decorator]
def last(key: str) -> None:
    """Say that a chain or a group member has ended."""
    _counter().incr(key)


def _counter():  # type: ignore[no-untyped-def]
    from redis import Redis

    global _redis
    if _redis is None:
        _redis = Redis.from_url(os.environ["BENCH_COUNTER_URL"])
    return _redis


_redis = None

"""Starts a worker: `python -m mlq_workers -Q cpu -c 2`, which is what `mlq worker` runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from mlq.errors import MlqError


def main(argv: list[str]) -> int:
    """Run a worker until it is told to stop; returns the exit code.

    argv: -Q COMPUTE[,COMPUTE] (default cpu), -c SLOTS (default: the cores of this machine), -n NAME
    (%h is the host's name), --loglevel LEVEL.
    """
    parser = argparse.ArgumentParser(prog="mlq worker")
    parser.add_argument("-Q", "--queues", default="cpu")
    parser.add_argument("-c", "--concurrency", type=int)
    parser.add_argument("-n", "--name")
    parser.add_argument("--loglevel", default="WARNING")
    options = parser.parse_args(argv)
    try:
        return _run(options)
    except MlqError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    from celery import signals

    from mlq_workers import resources
    from mlq_workers.celery import app, settings

    slots = options.concurrency or max(1, int(resources.host_facts().cores))
    computes = [name.strip() for name in options.queues.split(",") if name.strip()]
    name = options.name or f"{'-'.join(computes)}-{os.getpid()}@%h"

    def announce(**_: object) -> None:
        # Celery turns what is printed into log records once it runs.
        print(describe(settings.broker_url, computes, slots), file=sys.__stdout__, flush=True)

    signals.worker_ready.connect(announce, weak=False)
    app.worker_main(
        [
            "--quiet",  # no banner
            "worker",
            "--queues",
            ",".join(settings.queue(compute) for compute in computes),
            "--concurrency",
            str(slots),
            "--hostname",
            name if "@" in name else f"{name}@%h",
            "--loglevel",
            options.loglevel,
            "--without-gossip",
            "--without-mingle",  # asking other workers costs a second, and we keep no revokes
        ]
    )
    return 0


def describe(broker_url: str, computes: Sequence[str], slots: int) -> str:
    """What a worker says when it is ready; the broker without user, password and options."""
    netloc = urlsplit(broker_url).netloc
    shown = broker_url.partition("?")[0].replace(netloc, netloc.rpartition("@")[2], 1)
    words = "slot" if slots == 1 else "slots"
    return f"connected to {shown}, serving {', '.join(computes)}, {slots} {words}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

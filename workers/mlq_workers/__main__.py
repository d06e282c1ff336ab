"""Starts a worker: `python -m mlq_workers -Q cpu -c 2`, which is what `mlq worker` runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from mlq.errors import MlqError, SettingsError
from mlq.spec.references import parse_compute


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
    computes = [_read_compute(name) for name in options.queues.split(",") if name.strip()]
    from celery import signals

    from mlq_workers import resources
    from mlq_workers.celery import app, settings

    slots = options.concurrency or max(1, int(resources.host_facts().cores))
    name = options.name or f"{'-'.join(computes)}-{os.getpid()}@%h"

    def announce(**_: object) -> None:
        # Celery turns what is printed into log records once it runs.
        print(describe(settings.broker_url, computes, slots), file=sys.__stdout__, flush=True)

    signals.worker_ready.connect(announce, weak=False)
    # as `celery worker` does, without the rest of Celery's command line, which costs memory
    worker = app.Worker(
        queues=[settings.queue(compute) for compute in computes],
        concurrency=slots,
        hostname=node_name(name),
        loglevel=options.loglevel,
        quiet=True,  # no banner
        without_gossip=True,
        without_mingle=True,  # asking other workers costs a second, and we keep no revokes
    )
    worker.start()
    if worker.exitcode:
        # Celery's clean-up may wait for ever for half a message of a pool process, as after a lost
        # connection to the broker in the middle of one. Supervisors start again what has ended, and
        # all that this process has started ends with it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(worker.exitcode))
    return 0


def _read_compute(text: str) -> str:
    compute = parse_compute(text)
    if compute is None:
        raise SettingsError(
            f"'{text.strip()}' cannot name a compute: letters, digits, '.', '_' and '-' only.",
            hint="Give several with commas: -Q cpu,gpu.",
        )
    return compute


def node_name(name: str) -> str:
    """`NAME@HOST` for Celery; %h is this host's name."""
    from celery.utils.nodenames import host_format

    return str(host_format(name if "@" in name else f"{name}@%h"))


def describe(broker_url: str, computes: Sequence[str], slots: int) -> str:
    """What a worker says when it is ready; the broker without user, password and options."""
    netloc = urlsplit(broker_url).netloc
    shown = broker_url.partition("?")[0].replace(netloc, netloc.rpartition("@")[2], 1)
    words = "slot" if slots == 1 else "slots"
    return f"connected to {shown}, serving {', '.join(computes)}, {slots} {words}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

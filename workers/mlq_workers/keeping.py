"""Starts the keeper with the worker, and again should it die."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from typing import Any

from celery import bootsteps

from mlq import __version__
from mlq.ids import new_id
from mlq.settings import load_settings
from mlq_workers import gpus, keeper, process, resources
from mlq_workers.fork import Fork
from mlq_workers.keeper import Identity

logger = logging.getLogger("mlq.worker")

_LOOK_S = 1.0


class KeeperStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step of Celery's worker blueprint: it runs as long as the worker does."""

    requires = frozenset({"celery.worker.components:Timer", "celery.worker.components:Pool"})

    def __init__(self, parent: Any, **_: Any) -> None:
        self._timer: Any = None
        self._refuses = False
        self._settings = load_settings()
        # before the pool starts its processes, which take this with them
        process.prepare_parent(
            self._settings,
            app=parent.app,
            name=parent.hostname,
            pool=parent.pool_cls.__module__,
            slots=int(parent.concurrency),
            computes=self._computes(parent),
        )
        # Before the keeper, which has no use for it: importing writes to nearly every page that is
        # there, and each page that was shared with a process already would then be there twice.
        process.preload_components()
        self._identity = self._identify(parent)
        self._first = Fork(
            partial(keeper.run, self._identity, board=process.board_path(), settings=self._settings)
        )
        self._keeper: Fork | subprocess.Popen[bytes] = self._first

    def start(self, parent: Any) -> None:
        """Let the keeper begin; it registers the worker."""
        self._first.go()
        self._timer = parent.timer.call_repeatedly(_LOOK_S, self._look, (parent,))

    def _identify(self, parent: Any) -> Identity:
        host = resources.host_facts()
        return Identity(
            id=new_id(),
            name=parent.hostname,
            host=host.hostname,
            pid=os.getpid(),
            version=__version__,
            computes=self._computes(parent),
            slots=process.board().seats,
            cores=int(host.cores) or 1,
            memory_bytes=host.memory_bytes,
            gpus=[asdict(gpu) for gpu in gpus.discover_gpus()],
        )

    def stop(self, parent: Any) -> None:
        """Wait for the pool, whose leases are kept until then; the keeper retires the worker."""
        # Celery would stop the pool after this step. The keeper hands back what outlasts the grace.
        parent.pool.stop()
        self._retire()

    def terminate(self, parent: Any) -> None:
        """A cold shutdown: the keeper hands back at once what is held."""
        self._retire()

    def _retire(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._keeper.terminate()
        try:
            self._keeper.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        shutil.rmtree(process.board_path().parent, ignore_errors=True)

    def _computes(self, parent: Any) -> list[str]:
        prefix = self._settings.queue_prefix
        return [name.removeprefix(prefix) for name in parent.app.amqp.queues.consume_from]

    def _spawn(self) -> None:
        # This process has threads by now and cannot fork safely.
        self._keeper = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlq_workers.keeper",
                json.dumps(asdict(self._identity)),
                str(process.board_path()),
            ],
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches the whole terminal group; the keeper must outlive the pool
            start_new_session=True,
        )

    def _heed(self, parent: Any) -> None:
        """Consume from no queue while the worker is to take no work."""
        refuses = process.board().refuses_work
        if refuses == self._refuses or parent.consumer.task_consumer is None:
            return  # without a connection: the next look
        for compute in self._identity.computes:
            queue = f"{self._settings.queue_prefix}{compute}"
            if refuses:
                parent.consumer.cancel_task_queue(queue)
            else:
                parent.consumer.add_task_queue(queue)
        self._refuses = refuses

    def _look(self, parent: Any) -> None:
        # Celery itself may take five seconds to see that a pool process died and start another.
        parent.pool.maintain_pool()
        self._heed(parent)
        if self._keeper.poll() is not None:
            logger.error("the keeper ended with %s; starting it again", self._keeper.returncode)
            self._spawn()

"""What the processes of one worker have: the parent its board, each pool process its executor."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from billiard.process import current_process

from mlq.artifacts import Store
from mlq.broker import Broker
from mlq.db import Database
from mlq.errors import SettingsError
from mlq.service import attempt_tokens, installation
from mlq.settings import Settings
from mlq_workers import components, gpus, memory, resources
from mlq_workers.board import Board
from mlq_workers.clock import boot_time
from mlq_workers.environments import Environments
from mlq_workers.executor import Executor
from mlq_workers.handlers import CommandHandler, ComponentHandler, OwnAccess
from mlq_workers.runner import WarmStarts, command_environment
from mlq_workers.runner.warm import choose_modules
from mlq_workers.secrets import reveal_secrets

#: Handed from the parent to its pool processes, which may be spawned and not forked.
_BOARD = "MLQ_WORKER_BOARD"
_SLOTS = "MLQ_WORKER_SLOTS"
_NAME = "MLQ_WORKER_NAME"
_PID = "MLQ_WORKER_PID"
_GPUS = "MLQ_WORKER_GPUS"
GPU_COMPUTE = "gpu"

_POOLS = ("celery.concurrency.prefork", "celery.concurrency.solo")

_executors: dict[int, Executor] = {}


def prepare_parent(
    settings: Settings, *, app: Any, name: str, pool: str, slots: int, computes: list[str]
) -> None:
    """Make the board and settle what this worker's processes inherit, before any is started.

    name: the worker's node name. pool: module of Celery's pool class.
    Raises SettingsError for a pool that mlq cannot run on, a GPU queue without GPUs, or a database,
    broker or store that is not this installation's.
    """
    if pool not in _POOLS:
        raise SettingsError(
            f"mlq workers need processes of their own; {pool} has none.",
            hint="Leave out -P, or use -P prefork or -P solo.",
        )
    _join(settings)
    if app.conf.worker_disable_prefetch:
        # Redis: a message that is taken off the list is gone, and not also kept in a second place
        # until it is acknowledged. What a killed worker had taken, the reconciler publishes again.
        for queue in app.amqp.queues.consume_from.values():
            queue.no_ack = True
    wanted = None if settings.gpus == "auto" else settings.gpus
    found = gpus.select_gpus(wanted) if GPU_COMPUTE in computes else []
    if found:
        app.conf.worker_pool_start_method = "spawn"  # CUDA does not survive a fork
    folder = tempfile.mkdtemp(prefix="mlq-worker-")
    os.environ.update(
        {
            _NAME: name,
            _PID: str(os.getpid()),
            _BOARD: str(Path(folder) / "board"),
            _SLOTS: str(slots),
            _GPUS: ",".join(gpu.uuid for gpu in found),
        }
    )
    board().close()
    resources.limit_threads(resources.threads_per_slot(resources.host_facts().cores, slots))
    memory.settle()


def preload_components() -> None:
    """Import what components need, for all pool processes; spawned ones import it themselves."""
    if not os.environ[_GPUS]:
        components.preload()
        with suppress(ImportError):
            # Where cffi is installed, billiard parses a C declaration with it in each pool process:
            # its parser, some 10 MB, is made here for all of them.
            import_module("cffi").FFI().cdef("int prctl(int option);")
        memory.settle()


def board() -> Board:
    """This worker's board."""
    return Board(Path(os.environ[_BOARD]), seats=int(os.environ[_SLOTS]))


def board_path() -> Path:
    """Where this worker's board is."""
    return Path(os.environ[_BOARD])


def executor(settings: Settings) -> Executor:
    """The executor of this process, made at its first use here (never inherited by a fork)."""
    found = _executors.get(os.getpid())
    if found is None:
        _executors.clear()
        found = _executors[os.getpid()] = _make_executor(settings)
    return found


def end_if_orphaned() -> None:
    """End this pool process if its worker has died already.

    Celery asks the kernel to end it with its worker, and the kernel tells only of deaths from then
    on. Who was forked just before would wait for ever for work from a pipe that it holds open
    itself.
    """
    if int(os.environ[_PID]) not in (os.getppid(), os.getpid()):  # the latter in the solo pool
        os._exit(1)


def begin_to_drain(settings: Settings) -> None:
    """Tell the keeper when to hand work back. Called in a signal handler: only writes memory."""
    if _BOARD in os.environ:
        board().drain_at(boot_time() + settings.drain_grace_s)


def _join(settings: Settings) -> None:
    database = Database.open(settings.database, pool_size=1)
    try:
        database.transact(
            installation.join,
            settings=settings,
            store=Store.open(settings.artifact_root, cache=settings.home / "cache"),
            host=resources.host_facts().hostname,
        )
    finally:
        database.close()  # no connection may be open when the pool forks


def _make_executor(settings: Settings) -> Executor:
    index = getattr(current_process(), "index", None) or 0
    slots = int(os.environ[_SLOTS])
    devices = [uuid for uuid in os.environ[_GPUS].split(",") if uuid]
    mine = gpus.assign(index, devices, slots=slots)
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
    threads = resources.threads_per_slot(resources.host_facts().cores, slots)
    if devices:
        resources.limit_threads(threads)
    database = Database.open(settings.database, pool_size=2)
    with database.read() as conn:  # connect now and not during the first step
        signer = attempt_tokens.signer(conn)
    access = OwnAccess(signer, settings.api_url) if signer and settings.api_url else None
    return Executor(
        settings=settings,
        database=database,
        broker=Broker.open(settings),
        store=Store.open(settings.artifact_root, cache=settings.home / "cache"),
        seat=board().seat(index),
        worker=os.environ[_NAME],
        component_handler=ComponentHandler(access),
        ask_gpus=gpus.no_gpus
        if settings.gpus == gpus.NO_GPUS
        else partial(gpus.ask_memory, uuids=mine),
        command_handler=CommandHandler(
            gpu=mine,
            threads=threads,
            max_log_bytes=settings.max_log_bytes,
            access=access,
            hidden=settings.home if settings.hide_home else None,
            reveal=partial(reveal_secrets, database, settings),
            environments=Environments(
                settings.home / "environments", keep_s=settings.environment_keep_s
            ),
            warm=WarmStarts(
                choose_modules(settings.warm_modules),
                base=command_environment({}, tmp=Path(tempfile.gettempdir()), threads=threads),
            ),
        ),
    )

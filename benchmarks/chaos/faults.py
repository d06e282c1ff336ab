"""The fault matrix: each row's fault, done once. RELIABILITY.md, section 4, names the promises."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import redis
from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping

from benchmarks.chaos.clocks import NoCompiler, shifted
from benchmarks.chaos.field import Field, submit
from benchmarks.chaos.hosts import NoHosts, open_host
from benchmarks.chaos.proxy import Proxy
from mlq.db.tables import log_chunks
from mlq.lifecycle import TERMINAL
from mlq.onemachine import ports
from tests.acceptance.stack import Part, gone, wait_for
from tests.servers import Valkey

_FREEZE_S = 2.0
_CGROUPS = Path("/sys/fs/cgroup/memory")
#: Room for a worker, and not for a step that takes four times as much.
_HOST_BYTES = 1 << 30


class NotHere(Exception):
    """Why a fault cannot be made on these servers or this machine."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A row. inject: makes the fault and takes it back; times: how often in the full matrix.

    is_in_slice: also part of the short run. burns: whether attempts may be charged for it.
    """

    name: str
    inject: Callable[[Field], None]
    times: int = 2
    is_in_slice: bool = False
    burns: bool = True


def _pause(field: Field, longest_s: float = 0.8) -> None:
    time.sleep(field.rng.uniform(0.0, longest_s))


def _kill_command(field: Field) -> None:
    """A user's process; a guard says so, and the step's own policy holds (`probe` has none)."""
    commands = field.worker.pool()
    field.rng.choice(commands).kill()


def _kill_worker(field: Field) -> None:
    family = field.worker.family()
    field.worker.kill()
    wait_for(lambda: gone(family), 20, what="all of the worker is gone")
    field.renew_worker()


def _kill_host(field: Field) -> None:
    """Everything at once, so that nobody is left to hand anything back."""
    _signal(field.worker.family(), signal.SIGKILL)
    field.worker.kill()
    field.renew_worker()


def _drain(field: Field) -> None:
    assert field.worker.stop() == 0, "a drained worker ends well"
    field.renew_worker()


def _suspend(field: Field) -> None:
    """As a laptop that is closed for longer than the lease lasts."""
    family = field.worker.family()
    _signal(family, signal.SIGSTOP)
    time.sleep(field.stack.settings.lease_s + 2)
    _signal(family, signal.SIGCONT)


def _kill_keeper(field: Field) -> None:
    pool = {process.pid for process in field.worker.pool()}
    for child in psutil.Process(field.worker.pid).children():
        if child.pid not in pool:
            child.kill()


def _kill_api(field: Field) -> None:
    field.api.kill()
    field.renew_api()


def _freeze_api(field: Field) -> None:
    field.api.signal(signal.SIGSTOP)
    time.sleep(_FREEZE_S)
    field.api.signal(signal.SIGCONT)


def _flush(field: Field) -> None:
    field.broker.flush()


def _own_broker(field: Field) -> Valkey:
    if not isinstance(field.broker, Valkey):
        raise NotHere("the broker is not ours to stop")
    return field.broker


def _restart_broker(field: Field) -> None:
    server = _own_broker(field)
    server.kill()
    _pause(field)
    server.start()


def _freeze_broker(field: Field) -> None:
    server = _own_broker(field)
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(_FREEZE_S)
    os.kill(server.pid, signal.SIGCONT)


def _restore_snapshot(field: Field) -> None:
    """Messages that were worked off long ago are all there again, three times each."""
    if not field.broker.url.startswith("redis"):
        raise NotHere("only Redis has snapshots")
    key = field.stack.settings.queue("cpu")
    with redis.Redis.from_url(field.broker.url) as client:
        deadline = time.monotonic() + 3
        messages: list[bytes] = []
        while time.monotonic() < deadline and not messages:
            messages = client.lrange(key, 0, -1)
        time.sleep(1.5)
        for message in messages * 3:
            client.lpush(key, message)


def _half_open(proxy: Proxy, seconds: float) -> None:
    proxy.is_silent = True
    time.sleep(seconds)
    proxy.is_silent = False
    proxy.cut()


def _half_open_broker(field: Field) -> None:
    _half_open(field.broker_proxy, _FREEZE_S + 2)


def _cut_broker(field: Field) -> None:
    for _ in range(5):
        field.broker_proxy.cut()
        time.sleep(0.2)


def _database_proxy(field: Field) -> Proxy:
    if field.database_proxy is None:
        raise NotHere("SQLite is a file")
    return field.database_proxy


def _half_open_database(field: Field) -> None:
    _half_open(_database_proxy(field), _FREEZE_S + 2)


def _cut_database(field: Field) -> None:
    """Answers to COMMIT are lost with the connection."""
    proxy = _database_proxy(field)
    for _ in range(5):
        proxy.cut()
        time.sleep(field.rng.uniform(0.1, 0.4))


def _slow_database(field: Field) -> None:
    proxy = _database_proxy(field)
    proxy.delay_s = 0.05
    time.sleep(4)
    proxy.delay_s = 0.0


def _restart_database(field: Field) -> None:
    server = field.postgres
    if server is None:
        raise NotHere("SQLite is a file")
    server.stop(number=signal.SIGQUIT)
    _pause(field)
    server.start()


def _freeze_database(field: Field) -> None:
    server = field.postgres
    if server is None:
        raise NotHere("SQLite is a file")
    parent = psutil.Process(server.pid)
    family = [parent, *parent.children(recursive=True)]
    _signal(family, signal.SIGSTOP)
    time.sleep(field.stack.settings.lease_s + 2)
    _signal(family, signal.SIGCONT)


def _lock_jobs(field: Field) -> None:
    """Somebody's transaction holds every tree for longer than our statements wait."""
    with field.stack.database.write() as conn:
        if not field.stack.database.is_sqlite:
            conn.execute(text("SELECT id FROM jobs WHERE parent_id IS NULL FOR UPDATE"))
        time.sleep(4)


def _shift_clock(field: Field) -> None:
    if field.stack.database.is_sqlite:
        raise NotHere("on SQLite all processes have the one clock of their host")
    try:
        under = shifted(field.stack.settings.home, hours=field.rng.choice([-1, 1]))
    except NoCompiler as error:
        raise NotHere(str(error)) from None
    field.worker.stop()
    field.renew_worker(under=under)
    time.sleep(field.stack.settings.lease_s + 2)
    field.worker.stop()
    field.renew_worker()


def _cut_off_host(field: Field) -> None:
    """A host works, loses its network for longer than the lease, and comes back."""
    if field.stack.database.is_sqlite:
        raise NotHere("SQLite has one host")
    with ExitStack() as opened:
        try:
            host = opened.enter_context(open_host(field.rng.randrange(250)))
        except NoHosts as error:
            raise NotHere(str(error)) from None
        routes = dict(field.stack.routes)
        for name in ("database_url", "broker_url"):
            target = _address(routes[name])
            proxy = opened.enter_context(Proxy(target, host=host.gateway))
            old = f"{target[0]}:{target[1]}"
            routes[name] = routes[name].replace(old, f"{host.gateway}:{proxy.port}")
        here = field.worker
        there: Part = field.start_worker(under=host.command, **routes)
        here.stop()
        _pause(field)
        host.unplug()
        time.sleep(1)
        field.renew_worker()
        time.sleep(field.stack.settings.lease_s)
        host.plug()
        time.sleep(2)
        there.stop()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None, "a server has one"
    assert parts.port is not None, "a proxy has one"
    return parts.hostname, parts.port


def _fill_disk(field: Field) -> None:
    """A host whose scratch has room for a megabyte: a step that wants more says so, and ends."""
    scratch = field.stack.settings.home / "scratch"
    scratch.mkdir(exist_ok=True)
    mount = f'mount -t tmpfs -o size=1m tmpfs {scratch} && exec "$@"'
    with _other_host(field, "full", under=["unshare", "--mount", "sh", "-c", mount, "sh"]):
        row = _end_of(
            field,
            {
                "type": "command",
                "compute": "full",
                "command": "head -c 8000000 /dev/zero > ${{outputs.out}}/big",
                "outputs": {"out": {"type": "uri_folder"}},
            },
        )
        assert (row["state"], row["reason"]) == ("failed", "error"), f"it ended as {row['state']}"
        assert "No space left" in json.dumps(row["error"]), f"it says {row['error']}"
        assert not row["outputs"], "half of an output was kept"
        _run_one(field, "full")


def _limit_memory(field: Field) -> None:
    """A host with little memory: the kernel kills the step that wants more, and only that."""
    folder = _CGROUPS / f"mlqc{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(_HOST_BYTES))
    except OSError as error:
        raise NotHere(f"no memory cgroup can be made: {error}") from None
    enter = f'echo $$ > {folder}/cgroup.procs && exec "$@"'
    hog = "bytearray(b'x') * 2**30 * 4"
    try:
        with _other_host(field, "small", under=["sh", "-c", enter, "sh"]):
            row = _end_of(
                field,
                {
                    "type": "command",
                    "compute": "small",
                    "command": f'{sys.executable} -c "{hog}"',
                },
            )
            assert (row["state"], row["reason"]) == ("failed", "oom"), (
                f"it ended as {row['state']} ({row['reason']})"
            )
            assert row["lost_count"] == 0, "the worker was killed in its place"
            _run_one(field, "small")
    finally:
        wait_for(lambda: not (folder / "cgroup.procs").read_text(), 20, what="it is empty")
        folder.rmdir()


@contextmanager
def _other_host(field: Field, compute: str, *, under: Sequence[str]) -> Iterator[None]:
    """A worker beside the usual one, for a compute of its own."""
    if os.geteuid() != 0:
        raise NotHere("it takes root")
    there = field.start_worker(compute, 1, under=under)
    try:
        yield
    finally:
        there.stop()


def _flood_log(field: Field) -> None:
    """A gigabyte from one step: cut with a mark, and the step goes on to its end."""
    document = {"type": "command", "command": "yes mlq | head -c 1000000000"}
    row = _end_of(field, document)
    assert row["state"] == "succeeded", f"it ended as {row['state']}: {row['error']}"
    with field.stack.database.read() as conn:
        texts = conn.scalars(
            select(log_chunks.c.content)
            .where(log_chunks.c.job_id == row["id"])
            .order_by(log_chunks.c.id)
        ).all()
    kept = sum(map(len, texts))
    limit = field.stack.settings.max_log_bytes
    assert 0.9 * limit < kept < limit + 1000, f"{kept} bytes of the log were kept"
    assert "cut here" in texts[-1], "no mark says that the log was cut"


def _kill_serving(field: Field) -> None:
    """The model server is killed; its successor answers, and jobs do not notice."""
    for _ in range(2):
        port = ports.find_free_port()
        part = field.stack._start("serve", ["mlq_api.serving", "--port", str(port)])

        def answers(url: str = f"http://{ports.LOOPBACK}:{port}/v2/health/live") -> bool:
            try:
                return httpx.get(url).status_code < 500
            except httpx.TransportError:
                return False

        wait_for(answers, what="the model server answers")
        part.kill()


def _end_of(field: Field, document: dict[str, object]) -> RowMapping:
    """How a job ends that is no part of the load."""
    job = submit(field, document, key=f"own-{field.rng.randrange(10**12)}")
    return field.stack.wait_until(job, lambda row: row["state"] in TERMINAL)


def _run_one(field: Field, compute: str) -> None:
    """The worker serves on."""
    document = {"type": "command", "command": "true", "compute": compute}
    row = _end_of(field, document)
    assert row["state"] == "succeeded", f"the next step there ended as {row['state']}"


def _together(field: Field) -> None:
    """Two random faults of the cheap ones at the same time."""
    chosen = field.rng.sample([_kill_command, _flush, _cut_broker, _freeze_api], 2)
    threads = [threading.Thread(target=one, args=(field,)) for one in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


MATRIX = (
    Fault("SIGKILL of a pool child", _kill_command, times=3, is_in_slice=True),
    Fault("SIGKILL of a worker", _kill_worker, is_in_slice=True),
    Fault("SIGKILL of a whole host", _kill_host, is_in_slice=True),
    Fault("SIGKILL of a keeper", _kill_keeper),
    Fault("SIGTERM of a worker", _drain, is_in_slice=True, burns=False),
    Fault("a host is suspended", _suspend, times=1),
    Fault("a host is cut off and comes back", _cut_off_host, times=1),
    Fault("a worker's clock is off by an hour", _shift_clock, times=1, burns=False),
    Fault("SIGKILL of the API", _kill_api, burns=False, is_in_slice=True),
    Fault("SIGSTOP of the API", _freeze_api, times=1, burns=False),
    Fault("broker wiped", _flush, times=3, is_in_slice=True, burns=False),
    Fault("broker killed and restarted", _restart_broker, is_in_slice=True, burns=False),
    Fault("broker frozen", _freeze_broker, burns=False),
    Fault("broker restores an old snapshot", _restore_snapshot, burns=False, is_in_slice=True),
    Fault("broker half open", _half_open_broker, times=1, burns=False),
    Fault("broker's connections cut", _cut_broker, burns=False),
    Fault("database restarted at once", _restart_database, burns=False),
    Fault("database frozen beyond the lease", _freeze_database, times=1, burns=False),
    Fault("database half open", _half_open_database, times=1, burns=False),
    Fault("database's connections cut", _cut_database, burns=False),
    Fault("database slow", _slow_database, times=1, burns=False),
    Fault("jobs locked by somebody", _lock_jobs, times=1, burns=False),
    Fault("a step fills its disk", _fill_disk, times=1, burns=False),
    Fault("a step takes all memory", _limit_memory, times=1, burns=False),
    Fault("a step logs a gigabyte", _flood_log, times=1, burns=False),
    Fault("SIGKILL of the model server", _kill_serving, times=1, burns=False),
    Fault("two at once", _together, times=3, is_in_slice=True),
)

#: What is killed among the trials of one long sweep, and how often next to others: a worker that is
#: gone takes long to start again, and nothing could be killed meanwhile.
_WEIGHTS = {
    "SIGKILL of a pool child": 6,
    "SIGKILL of a keeper": 3,
    "SIGKILL of a worker": 1,
    "SIGKILL of a whole host": 1,
    "SIGKILL of the API": 1,
    "broker wiped": 4,
    "broker's connections cut": 4,
    "database's connections cut": 4,
}
FOR_TRIALS = {fault: _WEIGHTS[fault.name] for fault in MATRIX if fault.name in _WEIGHTS}

"""`mlq up`: everything on this machine, from an empty folder to an address, and down again."""

from __future__ import annotations

import gc
import http.client
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TextIO
from urllib.parse import urlsplit

from mlq.addresses import require_safe_bind
from mlq.errors import ConflictError, MlqError, SettingsError, UnavailableError
from mlq.onemachine import announcement, ports, services, valkey
from mlq.onemachine.home import LOGS_FOLDER, Home
from mlq.onemachine.services import Layout
from mlq.onemachine.supervisor import ServiceFailedError, Supervisor
from mlq.settings import Settings, load_settings

START_TIMEOUT = timedelta(seconds=60)


@dataclass(frozen=True)
class Options:
    """What `mlq up` takes on its command line; None leaves it to the settings.

    workers: slots for compute `cpu`, a worker per core by default, 0 for none.
    """

    database_url: str | None = None
    broker_url: str | None = None
    artifact_url: str | None = None
    host: str | None = None
    plain_http: bool | None = None
    port: int | None = None
    workers: int | None = None
    flower: bool = True
    output: str = "table"


def run_up(options: Options, *, out: TextIO = sys.stdout, talk: TextIO = sys.stderr) -> int:
    """Run everything until Ctrl-C or SIGTERM; the exit code.

    Takes over this process: signals, umask, orphans. Prints the block of addresses to `out` once
    everything answers (as JSON for output `json`), what happens meanwhile to `talk`.
    Raises ConflictError when the home or the port is taken, SettingsError for settings that make no
    sense, UnavailableError when a service does not come up; nothing is left running then.
    """
    os.umask(0o077)
    home = Home.hold(load_settings().home)
    try:
        # read after the home is held, so that no file of an earlier holder speaks for this one
        settings = load_settings(
            database_url=options.database_url,
            broker_url=options.broker_url,
            artifact_url=options.artifact_url,
            host=options.host,
            plain_http=options.plain_http,
            port=options.port,
            api_url="",
        )
        require_safe_bind(settings.host, plain_http=settings.plain_http)
        layout = make_layout(settings, options)
        require_free_port(layout)
        home.announce(api_url=layout.api_url, now=datetime.now(UTC).astimezone())
        home.ensure_token()
        return _run(layout, options, home=home, out=out, talk=talk)
    finally:
        home.release()


def make_layout(settings: Settings, options: Options) -> Layout:
    """Decide addresses, ports and passwords."""
    embedded = not settings.broker_url
    port = ports.find_free_port() if embedded else None
    password = secrets.token_urlsafe(24) if embedded else ""
    broker_url = (
        valkey.broker_url(port=port, password=password) if port is not None else settings.broker_url
    )
    return Layout(
        home=settings.home,
        host=settings.host,
        plain_http=settings.plain_http,
        port=settings.port,
        api_url=announcement.reachable_url(settings.host, settings.port) + settings.root_path,
        allowed_hosts=[*settings.allowed_hosts, *announcement.network_names(settings.host)],
        database_url=settings.database,
        broker_url=broker_url,
        artifact_url=settings.artifact_root,
        queue_prefix=settings.queue_prefix,
        serve_port=ports.find_free_port(),
        flower_port=ports.find_free_port() if options.flower else None,
        flower_auth=f"mlq:{secrets.token_urlsafe(24)}",
        broker_port=port,
        broker_password=password,
        cores=count_cores() if options.workers is None else options.workers,
        drain_grace_s=settings.drain_grace_s,
    )


def count_cores() -> int:
    """Cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_free_port(layout: Layout) -> None:
    """Raise ConflictError, naming the owner, unless the API can have its port."""
    if ports.is_free(layout.host, layout.port):
        return
    owner = ports.find_owner(layout.port)
    raise ConflictError(
        f"Port {layout.port} is taken by {owner or 'another process'}.",
        code="port_in_use",
        hint="Choose another: --port PORT.",
    )


def _run(layout: Layout, options: Options, *, home: Home, out: TextIO, talk: TextIO) -> int:
    def report(line: str) -> None:
        print(line, file=talk, flush=True)

    report(f"Starting mlq in {layout.home} …")
    supervisor = Supervisor(
        folder=layout.home, logs_folder=layout.home / LOGS_FOLDER, report=report
    )
    supervisor.take_over()
    try:
        started_at = time.monotonic()
        prepared = _start(layout, options, supervisor)
        if prepared is not None:
            home.write_server_file(layout.server_file())
            took = timedelta(seconds=time.monotonic() - started_at)
            print(_block(layout, options, prepared, took=took), file=out, flush=True)
            supervisor.run()
        report(f"\n{announcement.farewell(drain_grace_s=layout.drain_grace_s)}")
    except ServiceFailedError as error:
        lines = "\n".join(f"    {line}" for line in error.tail)
        raise UnavailableError(
            f"{error} at its start, several times. Its last lines:\n{lines}",
            code="service_failed",
            hint=f"The whole log: {layout.home / LOGS_FOLDER / error.name}.log",
        ) from None
    finally:
        supervisor.stop()
    report("Stopped.")
    return 0


def import_common() -> None:
    """Import what services share, and keep the collector from touching it in each of them."""
    try:
        for module in services.COMMON:
            import_module(module)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"`mlq up` needs {error.name}, which is not installed here.",
            hint="pip install 'mlq-platform[up]', from the checkout: pip install '.[up]'",
        ) from None
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class _Prepared:
    """What the program `prepare` found: a one-time login token, and how many GPUs there are."""

    login: str
    gpus: int


def _start(layout: Layout, options: Options, supervisor: Supervisor) -> _Prepared | None:
    """Start everything, as much at once as can be; None when the end was asked for meanwhile.

    Raises UnavailableError or whatever the database had to say.
    """
    env = layout.environment(os.environ)
    if layout.broker_port is not None:
        supervisor.start(services.broker(layout))
    import_common()
    prepared = _prepare(layout, env, supervisor)
    if prepared is None:
        return None
    supervisor.start(services.api(layout, env))
    if layout.cores:
        supervisor.start(services.worker(layout, env, compute="cpu", slots=layout.cores))
        if prepared.gpus:
            supervisor.start(services.worker(layout, env, compute="gpu", slots=prepared.gpus))
    supervisor.start(services.serve(layout, env))
    if layout.flower_port is not None:
        supervisor.start(services.flower(layout, env))
    if not supervisor.wait_for(is_ready(layout.api_url), timeout=START_TIMEOUT):
        if supervisor.stopping:
            return None
        raise UnavailableError(
            f"The API did not answer within {START_TIMEOUT.total_seconds():g} s.",
            code="service_failed",
            hint=f"Its log: {layout.home / LOGS_FOLDER / 'api.log'}",
        )
    return prepared


def _prepare(layout: Layout, env: Mapping[str, str], supervisor: Supervisor) -> _Prepared | None:
    result = layout.home / f".prepared.{os.getpid()}"
    try:
        code = supervisor.complete(services.prepare(layout, env, result))
        if code is None:
            return None
        content = json.loads(result.read_text() or "{}") if result.exists() else {}
    finally:
        result.unlink(missing_ok=True)
    if code == 0:
        return _Prepared(**content)
    error = content.get("error")
    if error is None:
        raise UnavailableError(
            "The database could not be prepared.",
            code="database_unprepared",
            hint=f"See {layout.home / LOGS_FOLDER / 'prepare.log'}.",
        )
    raise MlqError(error["message"], code=error["code"], hint=error.get("hint", ""))


def is_ready(api_url: str, *, timeout_s: float = 1.0) -> Callable[[], bool]:
    """A question that is answered with True once the API and what it needs are there."""
    address = urlsplit(api_url)
    path = f"{address.path.rstrip('/')}/readyz"

    def ask() -> bool:
        connection = http.client.HTTPConnection(
            str(address.hostname), address.port or 80, timeout=timeout_s
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def _block(layout: Layout, options: Options, prepared: _Prepared, *, took: timedelta) -> str:
    """What to print once everything answers."""
    if options.output == "json":
        return json.dumps(
            {
                "api_url": layout.api_url,
                "login_url": f"{layout.api_url}/login?token={prepared.login}",
                "home": str(layout.home),
                "pid": os.getpid(),
                "started_in_s": round(took.total_seconds(), 3),
            }
        )
    workers = [f"{layout.cores} x cpu"] if layout.cores else []
    workers += [f"{prepared.gpus} x gpu"] if prepared.gpus and layout.cores else []
    forwarding = announcement.forwarding_line(os.environ, host=layout.host, port=layout.port)
    return announcement.compose(
        api_url=announcement.network_url(layout.host, layout.port) or layout.api_url,
        login=prepared.login,
        workers=workers,
        home=layout.home,
        has_flower=layout.flower_port is not None,
        forwarding=forwarding,
    )

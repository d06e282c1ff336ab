"""The server that the demo talks to: one that runs already, or one of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlq.client import Client
from mlq.errors import MlqError, UnavailableError
from mlq.settings import Settings, load_settings

_START_S = 90.0
_STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Attached:
    """A server to use. is_own: started for this demo, and stopped with it."""

    client: Client
    home: Path
    is_own: bool


@contextmanager
def attach(*, port: int | None) -> Iterator[Attached]:
    """The server of this machine's MLQ_HOME, started if none runs; stopped again in that case.

    port: for a server that is started. Raises what `mlq up` raises (a busy port names its owner),
    UnreachableError when MLQ_API_URL names a server that does not answer.
    """
    from mlq.onemachine.home import find_holder

    settings = load_settings()
    holder = find_holder(settings.home)
    if settings.api_url or holder is not None:
        with _open(_wait_for_address(settings)) as client:
            _wait_until_ready(client)
            yield Attached(client, settings.home, is_own=False)
        return
    process = _start(port)
    try:
        with _open(load_settings()) as client:
            _wait_for_worker(client)
            yield Attached(client, settings.home, is_own=True)
    finally:
        _stop(process)


def _open(settings: Settings) -> Client:
    return Client(settings.api_url, settings.token.get_secret_value())


def _wait_for_address(settings: Settings) -> Settings:
    """The settings once the `mlq up` that holds the home has told its address."""
    deadline = time.monotonic() + _START_S
    while not settings.api_url:
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"The `mlq up` on {settings.home} does not get ready.",
                hint=f"Its logs are in {settings.home / 'logs'}.",
            )
        time.sleep(0.1)
        settings = load_settings()
    return settings


def _wait_until_ready(client: Client) -> None:
    deadline = time.monotonic() + 15
    while True:
        ready = client.server.ready()
        if ready.get("status") == "ok":
            return
        if time.monotonic() > deadline:
            detail = ready.get("detail") or ready.get("checks")
            raise UnavailableError(
                f"The server at {client.url} is not ready: {detail}.",
                hint="`mlq doctor` says what is missing.",
            )
        time.sleep(0.2)


def _wait_for_worker(client: Client) -> None:
    """A moment for its own worker to report; the story must not begin with "no live worker"."""
    deadline = time.monotonic() + 15
    while not client.workers.list() and time.monotonic() < deadline:
        time.sleep(0.1)


def _start(port: int | None) -> subprocess.Popen[str]:
    """Start `mlq up` and wait for its word that everything answers."""
    from mlq.onemachine.processes import die_with_parent

    command = [sys.executable, "-P", "-m", "mlq.cli", "up", "-o", "json"]
    if port is not None:
        command += ["--port", str(port)]
    with tempfile.TemporaryFile("w+") as talk:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=talk,
            text=True,
            # Ctrl-C is for the demo, which stops it in order; should the demo be killed, it stops
            # by itself
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            if ready:
                return process
            process.wait()
            talk.seek(0)
            raise _read_error(talk.read())
        except BaseException:
            _stop(process)
            raise


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_error(talk: str) -> MlqError:
    """What `mlq up` said before it ended."""
    for line in reversed(talk.splitlines()):
        try:
            error = json.loads(line)["error"]
            return MlqError(error["message"], code=error["code"], hint=error.get("hint", ""))
        except (ValueError, KeyError, TypeError):
            continue
    tail = "\n".join(talk.strip().splitlines()[-5:])
    return UnavailableError(f"`mlq up` ended at its start:\n{tail}", hint="Try `mlq up` by itself.")

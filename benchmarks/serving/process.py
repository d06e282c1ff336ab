"""Servers as processes: started, waited for, stopped; and load on them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

#: The same for every server: what runs in parallel are requests.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

#: Longer than this no measurement waits for the last answers.
_SILENCE_S = 30
#: Fields of /proc/PID/stat behind the command: the parent, user time; system time follows it.
_PARENT, _USER = 1, 11


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Server:
    """A process group that answers on a port of loopback; its output is in a file."""

    def __init__(
        self, command: Sequence[str], *, port: int, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.port = port
        self._log = folder / "server.log"
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **THREADS, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait(self, request: bytes, *, timeout_s: float = 120) -> Any:
        """Wait until it answers `request` with 200; the answer. Raises RuntimeError."""
        deadline = time.monotonic() + timeout_s
        said: object = None
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                status, body = ask(self.port, request)
            except OSError as error:
                said = error
            else:
                if status == 200:
                    return json.loads(body)
                said = f"{status} {body[:400]!r}"
            time.sleep(0.1)
        tail = self._log.read_text(errors="replace")[-1500:]
        raise RuntimeError(f"it does not answer: {said}\n{tail}")

    def cpu_s(self) -> float:
        """CPU time of it and of what it started, in seconds."""
        parents: dict[int, int] = {}
        ticks: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                process = int(stat.parent.name)
                parents[process] = int(fields[_PARENT])
                ticks[process] = int(fields[_USER]) + int(fields[_USER + 1])
        own, grown = {self._process.pid}, 0
        while grown < len(own):
            grown = len(own)
            own |= {process for process, parent in parents.items() if parent in own}
        return sum(ticks.get(process, 0) for process in own) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it and what it started."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, sent)
                self._process.wait(10)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def request_of(path: str, body: object, headers: Mapping[str, str] | None = None) -> bytes:
    """A POST of JSON as bytes."""
    raw = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(raw)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def ask(port: int, request: bytes, *, timeout_s: float = 30) -> tuple[int, bytes]:
    """Send a request on a connection of its own; status and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


def load(port: int, request: bytes, *, connections: int, seconds: float) -> dict[str, Any]:
    """Load by a process of its own for `seconds`; see `benchmarks.serving.load`.

    Raises RuntimeError where answers stay away for _SILENCE_S.
    """
    command = [sys.executable, "-m", "benchmarks.serving.load", str(port), str(connections)]
    try:
        done = subprocess.run(
            [*command, str(seconds)],
            input=request,
            stdout=subprocess.PIPE,
            timeout=seconds + _SILENCE_S,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"{connections} connections got no answers: {error}") from None
    return dict(json.loads(done.stdout))


class EndlessLoad:
    """Load that goes on until `end`."""

    def __init__(self, port: int, request: bytes, *, connections: int, folder: Path) -> None:
        file = folder / "request"
        file.write_bytes(request)
        command = [sys.executable, "-m", "benchmarks.serving.load", str(port), str(connections)]
        self._process = subprocess.Popen(
            [*command, "0"],
            env={**os.environ, "LOAD_REQUEST": str(file)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def end(self) -> dict[str, Any]:
        """Stop asking; what was measured."""
        out, _ = self._process.communicate(timeout=60)
        return dict(json.loads(out))


def wait_until(fact: Callable[[], bool], *, timeout_s: float = 30, pause_s: float = 0.002) -> float:
    """Wait until `fact`; seconds that it took. Raises TimeoutError."""
    began = time.perf_counter()
    while not fact():
        if time.perf_counter() - began > timeout_s:
            raise TimeoutError("a benchmark did not end")
        time.sleep(pause_s)
    return time.perf_counter() - began

"""Connections that each ask the same again as soon as the answer is there: a closed loop.

    python -m benchmarks.serving.load PORT CONNECTIONS SECONDS < REQUEST

REQUEST is the request's bytes. Prints JSON: requests, errors, seconds, p50_ms, p95_ms, p99_ms, and
the first answer that was no 200. With SECONDS 0 it goes on until its standard input closes, and the
request is read from the file that the environment variable LOAD_REQUEST names.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvloop


class Connection(asyncio.Protocol):
    """One connection: it asks until the load is over, and then closes."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = _end_of_answer(self._buffer)
        if end is None:
            return
        now = time.perf_counter()
        self._load.note(self._buffer[:end], now - self._began)
        self._buffer = self._buffer[end:]
        if now < self._load.until:
            self._ask()
        else:
            self._load.end(self)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._load.open:
            self._load.fail(f"the connection was closed: {exc}")
            self._load.end(self)


def _end_of_answer(buffer: bytes) -> int | None:
    """Where a whole answer ends; None where more of it is to come."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return None
    headers = buffer[:head].lower()
    place = headers.find(b"\r\ncontent-length:")
    if place >= 0:
        line = headers[place + 17 :].split(b"\r\n", 1)[0]
        end = head + 4 + int(line)
        return end if len(buffer) >= end else None
    last = buffer.find(b"0\r\n\r\n", head)  # chunked
    return None if last < 0 else last + 5


class Load:
    """What all connections ask, and what they were answered."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.until = float("inf")
        self.open: set[Connection] = set()
        self.errors = 0
        self.first_error = ""
        self.times: list[float] = []

    def note(self, answer: bytes, seconds: float) -> None:
        """Count one answer."""
        if answer[9:12] != b"200":
            self.fail(answer[:600].decode(errors="replace"))
        else:
            self.times.append(seconds)

    def fail(self, why: str) -> None:
        """Count an error; the first is kept."""
        self.errors += 1
        self.first_error = self.first_error or why

    def end(self, connection: Connection) -> None:
        """One connection asks no more."""
        self.open.discard(connection)
        if not self.open:
            self.over.set_result(None)

    async def run(self, port: int, *, connections: int, seconds: float) -> dict[str, object]:
        """Ask for `seconds`; what came of it."""
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = loop.create_future()
        began = time.perf_counter()
        self.until = began + seconds if seconds else float("inf")
        self.open = {Connection(self) for _ in range(connections)}
        if not seconds:
            threading.Thread(target=self._wait_for_end, daemon=True).start()
        for one in list(self.open):
            await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
        await self.over
        took = time.perf_counter() - began
        self.times.sort()
        return {
            "requests": len(self.times),
            "errors": self.errors,
            "seconds": took,
            **{
                f"p{share}_ms": 1e3 * self.times[len(self.times) * share // 100]
                for share in (50, 95, 99)
                if self.times
            },
            "first_error": self.first_error,
        }

    def _wait_for_end(self) -> None:
        sys.stdin.buffer.read()
        self.until = 0.0


def main() -> None:
    """Read the command line and print what was measured."""
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    named = os.environ.get("LOAD_REQUEST")
    request = Path(named).read_bytes() if named else sys.stdin.buffer.read()
    found = uvloop.run(Load(request).run(port, connections=connections, seconds=seconds))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

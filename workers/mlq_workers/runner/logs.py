"""Output of a command on its way to the log: in bounded memory, at a bounded rate."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from mlq_workers.runner.mask import NO_MASK, Mask

CHUNK_BYTES = 64 << 10
INTERVAL_S = 0.25
_TAIL_LINES = 20
_TAIL_LINE_BYTES = 2000
_TAIL_READ_BYTES = 16 << 10
#: Most runs of one stream in a row that are reported apart at a time; see `LogPump.feed`.
_MAX_SEGMENTS = 16
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")

OnLog = Callable[[str, bytes], None]


class LogPump:
    """Collects output and hands it on in chunks of at most CHUNK_BYTES.

    `on_log(stream, chunk)` is called when a chunk is full or INTERVAL_S after the last call; a
    character of UTF-8 is never cut in two. Beyond `max_bytes` in all, output is dropped after a
    line that says so. `last_lines` always knows the end. mask: takes secrets out.
    """

    def __init__(self, on_log: OnLog, *, max_bytes: int, mask: Mask = NO_MASK) -> None:
        self._on_log = on_log
        self._mask = mask
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._is_cut = False
        self._segments: list[tuple[str, bytearray]] = []
        self._pending_bytes = 0
        self._flushed_at = float("-inf")
        self._halves: dict[str, bytes] = {}
        self._streams: dict[str, None] = {}
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._unfinished: dict[str, bytes] = {}

    def feed(self, stream: str, data: bytes) -> None:
        """Take what was read from `stream`, at most CHUNK_BYTES.

        The order between streams is kept; only where they alternate very often within one
        interval is a piece put to the last one of its stream, so that calls stay few.
        """
        self._streams[stream] = None
        self._take(stream, self._mask.feed(stream, data))

    def _take(self, stream: str, data: bytes) -> None:
        self._keep_tail(stream, data)
        data = self._halves.pop(stream, b"") + data
        complete = _complete_length(data)
        if complete < len(data):
            self._halves[stream] = data[complete:]
            data = data[:complete]
        self._append(stream, data)

    def due_at(self) -> float | None:
        """When `flush_due` has something to do; None while nothing is pending."""
        return self._flushed_at + INTERVAL_S if self._segments else None

    def flush_due(self, now: float) -> None:
        """Hand on what is pending, unless that was done less than INTERVAL_S ago."""
        if self._segments and now - self._flushed_at >= INTERVAL_S:
            self._flush()
            self._flushed_at = now

    def close(self) -> None:
        """Hand on the rest."""
        for stream in self._streams:
            self._take(stream, self._mask.rest(stream))
        for stream, half in self._halves.items():
            self._append(stream, half)
        self._halves.clear()
        self._flush()

    def last_lines(self) -> list[str]:
        """The last lines of both streams, without control characters, for an error's message."""
        rest = [_readable(line) for line in self._unfinished.values() if line]
        return [*self._lines, *rest][-_TAIL_LINES:]

    def _append(self, stream: str, data: bytes) -> None:
        if self._is_cut or not data:
            return
        if len(data) > self._left:
            self._is_cut = True
            data = data[: self._left] + (
                f"\n[mlq] Output beyond {self._max_bytes} bytes was dropped here.\n".encode()
            )
        else:
            self._left -= len(data)
        if self._pending_bytes + len(data) > CHUNK_BYTES:
            self._flush()
        self._pending_bytes += len(data)
        if self._segments and self._segments[-1][0] == stream:
            self._segments[-1][1].extend(data)
        elif len(self._segments) < _MAX_SEGMENTS:
            self._segments.append((stream, bytearray(data)))
        else:
            next(text for name, text in reversed(self._segments) if name == stream).extend(data)

    def _flush(self) -> None:
        segments, self._segments, self._pending_bytes = self._segments, [], 0
        for stream, text in segments:
            self._on_log(stream, bytes(text))

    def _keep_tail(self, stream: str, data: bytes) -> None:
        # Of a flood only the end of each read is looked at.
        *lines, rest = (self._unfinished.get(stream, b"") + data[-_TAIL_READ_BYTES:]).split(b"\n")
        self._lines.extend(_readable(line) for line in lines[-_TAIL_LINES:])
        self._unfinished[stream] = rest[-_TAIL_LINE_BYTES:]


def _readable(line: bytes) -> str:
    return _CONTROL.sub("", line[-_TAIL_LINE_BYTES:].decode(errors="replace").rpartition("\r")[2])


def _complete_length(data: bytes) -> int:
    """Length of `data` without a UTF-8 character that has only begun at its end."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
    return len(data)

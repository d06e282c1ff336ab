"""Output in bounded chunks, whole characters, and a tail."""

from __future__ import annotations

import pytest

from mlq_workers.runner.logs import CHUNK_BYTES, INTERVAL_S, LogPump


class Log:
    def __init__(self) -> None:
        self.chunks: list[tuple[str, bytes]] = []

    def __call__(self, stream: str, chunk: bytes) -> None:
        self.chunks.append((stream, chunk))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def pump(log: Log) -> LogPump:
    return LogPump(log, max_bytes=1 << 20)


def test_first_output_at_once_the_next_after_the_interval(pump: LogPump, log: Log) -> None:
    assert pump.due_at() is None
    pump.feed("stdout", b"a")
    pump.flush_due(100.0)
    pump.feed("stdout", b"b")
    pump.feed("stdout", b"c")
    assert pump.due_at() == 100.0 + INTERVAL_S
    pump.flush_due(100.1)
    assert log.chunks == [("stdout", b"a")]
    pump.flush_due(100.0 + INTERVAL_S)
    assert log.chunks == [("stdout", b"a"), ("stdout", b"bc")]


def test_full_chunks_do_not_wait(pump: LogPump, log: Log) -> None:
    for _ in range(5):
        pump.feed("stdout", b"x" * (CHUNK_BYTES // 2))
    assert [len(chunk) for _, chunk in log.chunks] == [CHUNK_BYTES, CHUNK_BYTES]
    pump.close()
    assert sum(len(chunk) for _, chunk in log.chunks) == 5 * CHUNK_BYTES // 2


def test_order_of_streams_is_kept(pump: LogPump, log: Log) -> None:
    for stream in ("stdout", "stderr", "stdout"):
        pump.feed(stream, b"x")
    pump.close()
    assert [stream for stream, _ in log.chunks] == ["stdout", "stderr", "stdout"]


def test_calls_stay_few_when_streams_alternate(pump: LogPump, log: Log) -> None:
    for number in range(1000):
        pump.feed("stdout", b"o%d\n" % number)
        pump.feed("stderr", b"e%d\n" % number)
    pump.close()
    assert len(log.chunks) <= 16
    for stream, letter in (("stdout", "o"), ("stderr", "e")):
        text = b"".join(chunk for name, chunk in log.chunks if name == stream).decode()
        assert text == "".join(f"{letter}{number}\n" for number in range(1000))


@pytest.mark.parametrize("text", ["é", "€", "😀", "a😀b", "ééé"])
def test_characters_are_never_cut(text: str) -> None:
    data = text.encode()
    for at in range(len(data) + 1):
        log = Log()
        pump = LogPump(log, max_bytes=1000)
        pump.feed("stdout", data[:at])
        pump.flush_due(0.0)
        pump.feed("stdout", data[at:])
        pump.close()
        assert "".join(chunk.decode() for _, chunk in log.chunks) == text


@pytest.mark.parametrize("data", [b"\xff\xfe", b"\x80\x80\x80\x80", b"a\xf0", b"\xc3", b"\xe2\x82"])
def test_invalid_bytes_come_through(pump: LogPump, log: Log, data: bytes) -> None:
    pump.feed("stdout", data)
    pump.close()
    assert b"".join(chunk for _, chunk in log.chunks) == data


def test_beyond_the_limit_only_the_tail_is_known(log: Log) -> None:
    pump = LogPump(log, max_bytes=10)
    pump.feed("stdout", b"12345678")
    pump.feed("stderr", b"abcdef\n")
    for number in range(1000):
        pump.feed("stdout", b"line %d\n" % number)
    pump.close()
    assert log.chunks == [
        ("stdout", b"12345678"),
        ("stderr", b"ab\n[mlq] Output beyond 10 bytes was dropped here.\n"),
    ]
    assert pump.last_lines()[-1] == "line 999"
    assert len(pump.last_lines()) == 20


def test_last_lines_are_fit_to_print(pump: LogPump) -> None:
    pump.feed("stderr", b"\x1b[31mred\x1b[0m \x07\xff\n 10%\r 50%\r100%\n")
    pump.feed("stderr", b"x" * 100_000)
    assert pump.last_lines()[:2] == ["red �", "100%"]
    assert pump.last_lines()[2] == "x" * 2000

"""Secrets taken out of output."""

from __future__ import annotations

import pytest

from mlq_workers.runner.logs import LogPump
from mlq_workers.runner.mask import Mask

HIDDEN = "s3cr3t-s3cr3t-x"


@pytest.mark.parametrize("cut", range(1, 30))
def test_wherever_output_is_cut_a_secret_is_masked(cut: int) -> None:
    text = f"a {HIDDEN} s3cr b{HIDDEN}".encode()
    mask = Mask([HIDDEN])
    shown = b"".join(
        mask.feed("stdout", text[start : start + cut]) for start in range(0, len(text), cut)
    )
    assert shown + mask.rest("stdout") == b"a *** s3cr b***"


def test_streams_are_apart_and_beginnings_come_out_in_the_end() -> None:
    mask = Mask([HIDDEN])
    assert mask.feed("stdout", b"one s3cr3t-") == b"one "
    assert mask.feed("stderr", b"s3cr3t-x") == b"s3cr3t-x"
    assert mask.rest("stdout") == b"s3cr3t-"
    assert mask.rest("stdout") == b""


def test_lines_of_a_secret_are_masked_and_the_longest_of_several() -> None:
    mask = Mask(["-----BEGIN-----\nabcdef\n}", "abcd", "é-ü-ß"])
    assert mask.hide("x abcdef y abcd é-ü-ß }") == "x *** y *** *** }"
    assert Mask([]).hide("abcd") == "abcd"


def test_neither_log_nor_last_lines_have_it() -> None:
    said: list[bytes] = []
    pump = LogPump(lambda stream, chunk: said.append(chunk), max_bytes=1000, mask=Mask([HIDDEN]))
    pump.feed("stdout", b"token=s3cr3t-")
    pump.flush_due(1e9)
    pump.feed("stdout", b"s3cr3t-x\nwords s3c")
    pump.close()
    assert b"".join(said) == b"token=***\nwords s3c"
    assert pump.last_lines() == ["token=***", "words s3c"]

from __future__ import annotations

import os
from pathlib import Path

from mlq.onemachine import logs


def test_an_over_long_log_moves_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "api.log"
    handle = logs.open_log(file)
    os.write(handle, b"a" * 100)

    assert logs.rotate(file, max_bytes=50)
    os.write(handle, b"next\n")
    os.close(handle)

    assert (tmp_path / "api.log.1").read_bytes() == b"a" * 100
    assert file.read_bytes() == b"next\n"


def test_a_short_log_stays(tmp_path: Path) -> None:
    file = tmp_path / "api.log"
    file.write_text("a line\n")

    assert not logs.rotate(file, max_bytes=50)
    assert not logs.rotate(tmp_path / "none.log")
    assert file.read_text() == "a line\n"


def test_a_log_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    os.close(logs.open_log(tmp_path / "api.log"))

    assert (tmp_path / "api.log").stat().st_mode & 0o777 == 0o600


def test_the_tail_has_the_last_lines_without_empty_ones(tmp_path: Path) -> None:
    file = tmp_path / "api.log"
    file.write_text("\n".join(f"line {number}\n" for number in range(10_000)))

    assert logs.tail(file, lines=2) == ["line 9998", "line 9999"]
    assert logs.tail(tmp_path / "none.log") == []

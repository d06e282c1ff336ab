from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlq.errors import ConflictError, SettingsError
from mlq.onemachine.home import Home, find_holder

NOW = datetime(2026, 11, 23, 7, 50, tzinfo=UTC)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    home = Home.hold(tmp_path)
    home.announce(api_url="http://127.0.0.1:8420", now=NOW)

    with pytest.raises(ConflictError) as caught:
        Home.hold(tmp_path)

    assert caught.value.code == "home_in_use"
    assert f"(pid {os.getpid()}) serves it at http://127.0.0.1:8420" in caught.value.message
    assert "since 2026-11-23T07:50:00+00:00" in caught.value.message
    assert f"kill {os.getpid()}" in caught.value.hint
    home.release()


def test_a_second_holder_that_comes_early_is_told_to_wait(tmp_path: Path) -> None:
    home = Home.hold(tmp_path)

    with pytest.raises(ConflictError, match="just starting"):
        Home.hold(tmp_path)
    home.release()


def test_a_released_home_can_be_held_again(tmp_path: Path) -> None:
    Home.hold(tmp_path).release()

    assert find_holder(tmp_path) is None
    Home.hold(tmp_path).release()


def test_the_holder_is_found(tmp_path: Path) -> None:
    home = Home.hold(tmp_path)
    home.announce(api_url="http://127.0.0.1:9", now=NOW)

    holder = find_holder(tmp_path)

    assert holder is not None
    assert (holder.pid, holder.api_url) == (os.getpid(), "http://127.0.0.1:9")
    home.release()


def test_nobody_holds_a_home_that_is_not_there(tmp_path: Path) -> None:
    assert find_holder(tmp_path / "none") is None


def test_the_token_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    home = Home.hold(tmp_path / "deep" / "home")

    token = home.ensure_token()

    assert token.startswith("mlq_")
    assert len(token) > 40
    assert home.ensure_token() == token
    assert mode(home.path / "token") == 0o600
    assert mode(home.path) == 0o700
    home.release()


def test_an_open_token_file_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("mlq_given\n")
    (tmp_path / "token").chmod(0o644)
    home = Home.hold(tmp_path)

    assert home.ensure_token() == "mlq_given"
    assert mode(tmp_path / "token") == 0o600
    home.release()


def test_the_server_file_lasts_as_long_as_its_holder(tmp_path: Path) -> None:
    home = Home.hold(tmp_path)
    home.write_server_file({"api_url": "http://x"})

    assert json.loads((tmp_path / "server.json").read_text()) == {"api_url": "http://x"}
    assert mode(tmp_path / "server.json") == 0o600

    home.release()
    assert not (tmp_path / "server.json").exists()


def test_a_server_file_of_a_killed_holder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"broker_url": "redis://gone"}')

    home = Home.hold(tmp_path)

    assert not (tmp_path / "server.json").exists()
    home.release()


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match=r"MLQ_HOME .*file/home cannot be used"):
        Home.hold(tmp_path / "file" / "home")

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlq.errors import SettingsError
from mlq.onemachine import ports, valkey


def test_the_server_of_the_wheel_is_found() -> None:
    assert os.access(valkey.find_server(), os.X_OK)


def test_without_the_wheel_a_server_on_the_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "redis-server"
    binary.touch(mode=0o755)
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert valkey.find_server() == binary


def test_without_any_server_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SettingsError) as caught:
        valkey.find_server()

    assert "--broker-url" in caught.value.hint


def test_the_configuration_is_private_and_drops_no_message(tmp_path: Path) -> None:
    config = valkey.write_config(tmp_path, port=20001, password="secret")

    lines = config.read_text().splitlines()
    assert config.stat().st_mode & 0o777 == 0o600
    assert "bind 127.0.0.1" in lines
    assert "requirepass secret" in lines
    assert "maxmemory-policy noeviction" in lines
    assert "appendonly no" in lines


def test_nobody_answers_where_nobody_listens() -> None:
    assert not valkey.answers(port=ports.find_free_port(), password="secret")


def test_the_address_carries_the_password() -> None:
    assert valkey.broker_url(port=20001, password="a_b-c") == "redis://:a_b-c@127.0.0.1:20001/0"

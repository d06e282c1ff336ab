from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlq.db import Database
from mlq.onemachine import prepare
from mlq.onemachine.ports import find_free_port
from mlq.service import tokens


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLQ_HOME", str(tmp_path))
    monkeypatch.setenv("MLQ_GPUS", "0,1")
    (tmp_path / "token").write_text("mlq_admin-token\n")
    return tmp_path


def test_the_database_is_made_and_knows_both_tokens(home: Path) -> None:
    assert prepare.main(home / "result") == 0

    result = json.loads((home / "result").read_text())
    assert result["gpus"] == 2
    assert (home / "result").stat().st_mode & 0o777 == 0o600
    database = Database.open(f"sqlite:///{home}/mlq.db")
    with database.write() as conn:
        admin = tokens.authenticate(conn, tokens.digest_of("mlq_admin-token"))
        assert admin is not None
        assert admin.role == "admin"
        assert tokens.open_session(conn, result["login"]).role == "admin"
    database.close()


def test_a_second_start_keeps_the_token(home: Path) -> None:
    assert prepare.main(home / "first") == 0
    assert prepare.main(home / "second") == 0

    first, second = (json.loads((home / name).read_text()) for name in ("first", "second"))
    assert first["login"] != second["login"]


def test_a_database_that_cannot_be_used_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLQ_DATABASE_URL", "mysql://host/name")

    assert prepare.main(home / "result") == 1

    assert "mysql" in json.loads((home / "result").read_text())["error"]["message"]


def test_a_given_token_goes_before_that_of_the_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLQ_TOKEN", "mlq_given")

    assert prepare.main(home / "result") == 0

    database = Database.open(f"sqlite:///{home}/mlq.db")
    with database.read() as conn:
        assert tokens.authenticate(conn, tokens.digest_of("mlq_given"))
        assert not tokens.authenticate(conn, tokens.digest_of("mlq_admin-token"))
    database.close()


def test_without_any_token_it_is_said_what_to_set(home: Path) -> None:
    (home / "token").unlink()

    assert prepare.main(home / "result") == 1

    assert "MLQ_TOKEN" in json.loads((home / "result").read_text())["error"]["message"]


def test_gpus_as_the_setting_says() -> None:
    assert prepare.count_gpus("none") == 0
    assert prepare.count_gpus("0, 2,") == 2


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_does_not_answer_is_told_before_the_database_is_touched(
    home: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    port = find_free_port()
    monkeypatch.setenv("MLQ_BROKER_URL", f"{scheme}://me:sesame@127.0.0.1:{port}")

    assert prepare.main(home / "result", asks_broker=True) == 1

    error = json.loads((home / "result").read_text())["error"]
    assert error["code"] == "broker_unavailable"
    assert "does not answer" in error["message"]
    assert f"127.0.0.1:{port}" in error["hint"]
    assert "MLQ_BROKER_URL" in error["hint"]
    assert "sesame" not in json.dumps(error)
    assert not (home / "mlq.db").exists()


def test_a_broker_of_another_kind_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLQ_BROKER_URL", "kafka://host")

    assert prepare.main(home / "result", asks_broker=True) == 1

    assert "kafka" in json.loads((home / "result").read_text())["error"]["message"]


@pytest.mark.parametrize(
    ("given", "masked", "said"),
    [
        ("redis://127.0.0.1:1/0", "redis://:**@127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
        ("amqp://guest@h:1//", "amqp://guest:**@h:1//", "amqp://guest@h:1//"),
        ("redis://:PASSWORD@h:1/0", "redis://:**@h:1/0", "redis://:**@h:1/0"),
    ],
)
def test_no_password_is_masked_that_is_not_there(given: str, masked: str, said: str) -> None:
    assert prepare.say_address(given, masked) == said

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlq.db import Database
from mlq.onemachine import prepare
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

"""What the doctor says while no server answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlq.cli.doctor import examine
from mlq.cli.entry import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLQ_HOME", str(tmp_path))
    monkeypatch.delenv("MLQ_API_URL", raising=False)
    return tmp_path


def failed() -> dict[str, str]:
    return {finding["name"]: finding["fix"] for finding in examine() if not finding["ok"]}


def test_no_server_is_known(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "mlq up" in failed()["address"]
    assert main(["doctor"]) == 3
    assert "FAIL  address" in capsys.readouterr().out


def test_no_server_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLQ_API_URL", "http://127.0.0.1:9")
    assert list(failed()) == ["server"]
    assert main(["doctor", "-o", "json"]) == 3


def test_a_setting_makes_no_sense(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLQ_LEASE_S", "soon")
    assert list(failed()) == ["settings"]
    assert main(["doctor"]) == 1
    assert "MLQ_LEASE_S" in capsys.readouterr().out


def test_a_token_that_others_can_read(home: Path) -> None:
    token = home / "token"
    token.write_text("secret")
    token.chmod(0o644)
    assert failed()["token"] == f"chmod 600 {token}"
    token.chmod(0o600)
    assert "token" not in failed()

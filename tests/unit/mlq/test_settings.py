from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlq.errors import SettingsError
from mlq.settings import SERVER_FILE, TOKEN_FILE, load_settings, read_server_file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLQ_HOME", str(tmp_path))
    return tmp_path


def serve(home: Path, **found: Any) -> None:
    (home / SERVER_FILE).write_text(json.dumps(found))


def test_defaults_lie_below_home(home: Path) -> None:
    settings = load_settings()
    assert settings.database == f"sqlite:///{home}/mlq.db"
    assert settings.artifact_root == str(home / "artifacts")
    assert settings.token.get_secret_value() == ""
    assert (settings.host, settings.port) == ("127.0.0.1", 8420)


def test_home_is_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLQ_HOME", "~/elsewhere")
    assert load_settings().home == Path.home() / "elsewhere"


def test_the_running_server_is_found(home: Path) -> None:
    serve(home, broker_url="redis://b", api_url="http://a", database_url="sqlite:////d", port=1)
    (home / TOKEN_FILE).write_text("sesame\n")

    settings = load_settings()

    assert (settings.broker_url, settings.api_url) == ("redis://b", "http://a")
    assert settings.database == "sqlite:////d"
    assert settings.port == 8420
    assert settings.token.get_secret_value() == "sesame"
    assert "sesame" not in repr(settings)


def test_environment_goes_before_the_server_and_arguments_before_both(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(home, broker_url="redis://server", database_url="sqlite:////server")
    monkeypatch.setenv("MLQ_BROKER_URL", "redis://environment")
    monkeypatch.setenv("MLQ_DATABASE_URL", "sqlite:////environment")

    settings = load_settings(database_url="sqlite:////argument", broker_url=None)

    assert settings.broker_url == "redis://environment"
    assert settings.database == "sqlite:////argument"


@pytest.mark.parametrize("elsewhere", ["http://other", "http://here"])
def test_the_token_goes_to_its_own_server_only(
    home: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    serve(home, api_url="http://here")
    (home / TOKEN_FILE).write_text("secret")
    monkeypatch.setenv("MLQ_API_URL", elsewhere)

    found = load_settings().token.get_secret_value()

    assert found == ("secret" if elsewhere == "http://here" else "")


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "\xff"])
def test_a_broken_server_file_says_nothing(home: Path, content: str) -> None:
    (home / SERVER_FILE).write_bytes(content.encode("latin-1"))
    assert read_server_file(home) == {}
    assert load_settings().broker_url == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLQ_PORT", "x"),
        ("MLQ_PORT", "70000"),
        ("MLQ_LEASE_S", "0"),
        ("MLQ_LEASE_S", "nan"),
        ("MLQ_TASK_EVENTS", "some"),
        ("MLQ_COMPUTES", "cpu=small"),
        ("MLQ_ALLOWED_HOSTS", "a.example"),
        ("MLQ_HEARTBEAT_S", "11"),
    ],
)
def test_nonsense_names_its_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_lists_and_mappings_are_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLQ_COMPUTES", '{"gpu-cluster": "gpu"}')
    monkeypatch.setenv("MLQ_ALLOWED_HOSTS", '["a.example"]')
    settings = load_settings()
    assert settings.computes == {"gpu-cluster": "gpu"}
    assert settings.allowed_hosts == ["a.example"]


def test_queues_have_a_prefix(home: Path) -> None:
    assert load_settings().queue("cpu") == "cpu"
    assert load_settings(queue_prefix="team-").queue("cpu") == "team-cpu"

"""What `mlq worker list` says beside its table."""

from __future__ import annotations

from mlq.cli.worker import say_skew
from mlq.client.documents import ServerProcess, Worker


def worker(name: str, version: str, state: str = "online") -> Worker:
    return {"name": name, "version": version, "state": state}


def server(kind: str, version: str) -> ServerProcess:
    return {"kind": kind, "host": "h", "version": version}


def test_one_version_is_nothing_to_speak_of() -> None:
    assert say_skew([], []) == ""
    assert say_skew([worker("a", "1"), worker("b", "1")], [server("api", "1")]) == ""
    assert say_skew([worker("a", "1"), worker("gone", "0", state="offline")], []) == ""


def test_different_versions_are_named_with_who_is_of_which() -> None:
    said = say_skew(
        [worker("b", "2"), worker("a", "2")], [server("api", "1"), server("serve", "2")]
    )
    assert said.splitlines()[1:] == ["  1: API on h", "  2: a, b, model server on h"]

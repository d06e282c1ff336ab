"""The root command: grammar, errors as words and exit codes, and what it must not import."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mlq.cli.entry import COMMANDS, exit_code, main, root
from mlq.errors import (
    ConflictError,
    ForbiddenError,
    MlqError,
    NotFoundError,
    SpecError,
    SpecProblem,
    UnauthorizedError,
    UnavailableError,
)

HEAVY = {
    "alembic",
    "celery",
    "fastapi",
    "fsspec",
    "numpy",
    "pandas",
    "sklearn",
    "sqlalchemy",
    "uvicorn",
}


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is known."""
    monkeypatch.setenv("MLQ_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLQ_API_URL", raising=False)
    monkeypatch.delenv("MLQ_TOKEN", raising=False)


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules that a run of the command line imports."""
    code = (
        "import sys\n"
        "from mlq.cli import main\n"
        f"main({list(arguments)!r})\n"
        "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    modules = imported_by("--help")
    assert "click" in modules
    assert modules & (HEAVY | {"httpx", "pydantic", "rich", "yaml"}) == set()


def test_a_client_command_imports_no_server() -> None:
    modules = imported_by("doctor")
    assert "pydantic" in modules
    assert modules & HEAVY == set()


def test_reading_a_job_file_imports_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLQ_API_URL", "http://127.0.0.1:9")
    (tmp_path / "job.yml").write_text("type: command\ncommand: echo\n")
    assert imported_by("job", "create", "-f", str(tmp_path / "job.yml")) & HEAVY == set()


def test_help_shows_each_command_with_its_own_words() -> None:
    context = click.Context(root)
    for name, (_, line) in COMMANDS.items():
        command = root.get_command(context, name)
        assert command is not None
        assert line.endswith(".")
        assert command.name not in ("", None)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["jbo"], "Did you mean 'job'?"),
        (["job", "lst"], "Did you mean 'list'?"),
        (["job", "list", "--stat", "failed"], "Did you mean '--state'?"),
        (["online-endpont"], "Did you mean 'online-endpoint'?"),
    ],
)
def test_a_mistyped_word_is_guessed(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert meant in said.err
    assert "hint: See `mlq" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["job", "show"], "Missing argument 'JOB'."),
        (["job", "show", "a", "-n", "b"], "JOB is given twice."),
        (["job", "create", "-f", "/no/such/file.yml"], "does not exist"),
        (["worker", "-c", "0"], "-c"),
        (["online-endpoint", "invoke", "e"], "Give either --request-file or --row."),
        (["online-endpoint", "invoke", "e", "--row", "{"], "is not JSON"),
        (
            ["online-endpoint", "update", "e", "--traffic", "a:3"],
            "'a:3' is not DEPLOYMENT=PERCENT.",
        ),
        (["model", "show", "churn:3", "-v", "4"], "The version is given twice."),
        (["token", "create", "ci", "--role", "king"], "king"),
    ],
)
def test_wrong_usage_is_said_before_a_server_is_asked(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_without_a_server_every_command_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["job", "list"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "error: No server is known" in said.err
    assert "hint: Start one with `mlq up`" in said.err


def test_errors_are_json_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLQ_API_URL", "http://127.0.0.1:9")
    assert main(["queue", "list", "-o", "json"]) == 3
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "unreachable"
    assert "http://127.0.0.1:9" in error["message"]


def test_a_setting_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLQ_PORT", "many")
    assert main(["job", "list"]) == 2
    assert "MLQ_PORT" in capsys.readouterr().err


def test_what_is_no_file_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert main(["data", "create", "x", "-p", str(pipe)]) == 2
    assert "--path" in (said := capsys.readouterr().err)
    assert "neither a file nor a folder" in said


def test_where_nobody_answers_a_question_the_option_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["data", "delete", "x:1"]) == 2
    assert "--yes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MlqError("x"), 1),
        (ConflictError("x"), 1),
        (SpecError([SpecProblem("a", "b")]), 2),
        (SpecError([SpecProblem("rows", "b")], code="invalid_input"), 2),
        (UnavailableError("x"), 3),
        (UnavailableError("x", code="database_locked"), 3),
        (UnauthorizedError("x"), 4),
        (ForbiddenError("x"), 4),
        (NotFoundError("x"), 5),
        (MlqError("x", code="timed_out"), 124),
    ],
)
def test_exit_codes(error: MlqError, code: int) -> None:
    assert exit_code(error) == code

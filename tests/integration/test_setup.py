"""`make` from nothing: which interpreter is taken, and what is said where none fits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "venv.sh"


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def create(
    target: Path, *, python: str, path: str = os.defpath
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), str(target)],
        env={"PATH": path, "PYTHON": python},
        capture_output=True,
        text=True,
    )


def test_the_first_interpreter_that_works_is_taken(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    script(shims / "python3.13", "echo 'command not found' >&2; exit 127")  # a pyenv shim
    script(shims / "python3.12", "exit 1")  # answers that it is too old
    works = script(
        tmp_path / "works",
        f'case "$*" in "-m venv "*) mkdir "$4";; *) exec {sys.executable} "$@";; esac',
    )

    ended = create(
        tmp_path / "made", python=f"python3.13 python3.12 {works}", path=f"{shims}:{os.defpath}"
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"==> Creating {tmp_path / 'made'} with Python 3.")
    assert (tmp_path / "made").is_dir()


def test_without_venv_the_one_package_is_named(tmp_path: Path) -> None:
    # as Debian packs Python: it runs, but has no ensurepip
    bare = script(
        tmp_path / "bare",
        f'case "$*" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac',
    )

    ended = create(tmp_path / "made", python=str(bare))

    assert ended.returncode == 1
    assert "apt-get install python3-venv" in ended.stderr


def test_without_any_interpreter_it_is_said_how_to_name_one(tmp_path: Path) -> None:
    old = script(tmp_path / "python3.9", "exit 1")

    ended = create(tmp_path / "made", python=str(old))

    assert ended.returncode == 1
    assert f"No Python 3.11 or newer was found as '{old}'" in ended.stderr
    assert not (tmp_path / "made").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile in a folder whose interpreter only notes what it is asked to do."""
    for file in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "mlq", "ruff", "mypy", "bandit", "detect-secrets-hook"):
        script(programs / name, f'echo {name} "$@" >> asked')
    return tmp_path


def make(checkout: Path, *arguments: str) -> list[str]:
    """Run make; what the programs were asked to do."""
    (checkout / "asked").unlink(missing_ok=True)
    env = {  # not with the arguments of a make that runs these tests
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS")) and name not in ("ARGS", "PARALLEL")
    }
    command = ["make", "-C", str(checkout), *arguments]
    subprocess.run(command, env=env, check=True, capture_output=True)
    return (checkout / "asked").read_text().splitlines()


def test_the_demo_installs_what_it_runs_on_and_nothing_else(checkout: Path) -> None:
    install, demo = make(checkout, "demo")

    assert install.endswith("--editable .[up]")
    assert demo == "mlq demo"


def test_a_second_call_installs_nothing(checkout: Path) -> None:
    make(checkout, "up")

    assert make(checkout, "up", "ARGS=--port 9000") == ["mlq up --port 9000"]


def test_who_has_the_tools_has_the_demo(checkout: Path) -> None:
    make(checkout, "lint")

    assert make(checkout, "demo") == ["mlq demo"]


def test_a_changed_project_file_installs_again(checkout: Path) -> None:
    make(checkout, "demo")
    stamp = (checkout / ".venv" / ".ready-up").stat().st_mtime
    os.utime(checkout / "pyproject.toml", (stamp + 10, stamp + 10))

    assert len(make(checkout, "demo")) == 2


def test_check_formats_lints_types_and_looks_for_holes_and_secrets(checkout: Path) -> None:
    _, *asked = make(checkout, "check")

    programs = {line.split()[0] for line in asked}
    assert {"ruff format --check .", "ruff check .", "mypy"} <= {line.strip() for line in asked}
    assert programs == {"ruff", "mypy", "bandit", "detect-secrets-hook"}


def test_help_names_every_target(checkout: Path) -> None:
    ended = subprocess.run(
        ["make", "-C", str(checkout)], check=True, capture_output=True, text=True
    )

    for target in ("demo", "up", "test", "check", "bench"):
        assert f"make {target} " in ended.stdout

"""What a job was submitted from, and jobs that are submitted again, by the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlq.cli import main
from mlq.client import git as git_module
from tests.integration.api.conftest import Api


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What git says is the same for each kind of database."""
    return sqlite_url


Run = Callable[..., Any]


@pytest.fixture
def run(
    api: Api,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs `mlq`; returns what it prints, as JSON where that is asked for."""
    monkeypatch.setenv("MLQ_API_URL", api.url)
    monkeypatch.setenv("MLQ_TOKEN", client.headers["authorization"].partition(" ")[2])

    def made(*arguments: str, code: int = 0) -> Any:
        assert main([str(one) for one in arguments]) == code
        said = capsys.readouterr()
        if code:
            return said.err
        return json.loads(said.out) if arguments[-1] == "json" else said.out

    return made


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit, and a job file in it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "job.yml").write_text(
        "# clone me\n"
        "type: command\n"
        "display_name: first\n"
        "command: python train.py ${{inputs.rate}}\n"
        "code: ./src\n"
        "inputs: {rate: 0.1}\n"
    )
    (root / "src" / "train.py").write_text("print(1)\n")
    (root / "src" / "keys.txt").write_text("none\n")
    (root / "src" / ".amlignore").write_text("keys.txt\n")
    git(root, "init", "-q", "-b", "trunk")
    git(root, "remote", "add", "origin", "https://me:hunter2@example.org/team/project.git")
    git(root, "add", ".")
    commit(root)
    return root


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(root: Path) -> str:
    git(root, "-c", "user.name=me", "-c", "user.email=me@x", "commit", "-qm", "words")
    return git(root, "rev-parse", "HEAD")


def test_commit_branch_and_difference_are_kept_with_the_job(
    run: Run, client: httpx.Client, repository: Path
) -> None:
    job_file = str(repository / "job.yml")
    head = git(repository, "rev-parse", "HEAD")
    clean = run("job", "create", "-f", job_file, "-o", "json")["id"]
    expected = {
        "commit": head,
        "branch": "trunk",
        "repository": "https://example.org/team/project.git",
        "is_dirty": False,
        "diff": None,
    }
    assert run("job", "show", clean, "-o", "json")["git"] == expected
    assert f"{head[:12]} on trunk\n" in run("job", "show", clean)
    assert "no difference to show: its code was that" in run("job", "show", clean, "--diff", code=5)

    (repository / "src" / "train.py").write_text("print(2)\n")
    (repository / "src" / "keys.txt").write_text("secret\n")  # stays, so its change does too
    (repository / "job.yml").write_text((repository / "job.yml").read_text() + "tags: {a: b}\n")
    dirty = run("job", "create", "-f", job_file, "-o", "json")["id"]
    found = run("job", "show", dirty, "-o", "json")["git"]
    assert (found["commit"], found["is_dirty"]) == (head, True)
    assert f"{head[:12]} on trunk, changed since (--diff shows how)\n" in run("job", "show", dirty)
    shown = run("job", "show", dirty, "--diff")
    assert "-print(1)\n+print(2)\n" in shown
    assert "secret" not in shown
    git(repository, "checkout", "-q", "--", ".")
    apply = ["git", "apply", "--directory=src"]
    subprocess.run(apply, cwd=repository, input=shown, text=True, check=True)
    assert (repository / "src" / "train.py").read_text() == "print(2)\n"

    git(repository, "checkout", "-q", "--detach")
    git(repository, "add", "-u")
    commit(repository)
    (repository / "src" / "new.py").write_text("")
    detached = run("job", "create", "-f", job_file, "-o", "json")["id"]
    found = run("job", "show", detached, "-o", "json")["git"]
    assert (found["branch"], found["is_dirty"], found["diff"]) == (None, True, None)
    assert client.delete(f"/v1/jobs/{detached}").status_code == 409  # it has not ended


def test_a_long_difference_is_cut(
    run: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_module, "MAX_DIFF_BYTES", 100)
    (repository / "src" / "train.py").write_text("print(3)\n" * 100)
    job = run("job", "create", "-f", str(repository / "job.yml"), "-o", "json")["id"]
    shown = run("job", "show", job, "--diff")
    assert len(shown) < 200
    assert shown.endswith("[mlq] The difference is longer than is kept; cut here.\n")


def test_outside_of_git_a_job_says_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("")
    (tmp_path / "job.yml").write_text("type: command\ncommand: 'true'\ncode: src\n")
    job = run("job", "create", "-f", str(tmp_path / "job.yml"), "-o", "json")["id"]
    assert run("job", "show", job, "-o", "json")["git"] is None
    assert "git does not know its code" in run("job", "show", job, "--diff", code=5)


def test_a_job_is_cloned_and_edited(
    run: Run,
    client: httpx.Client,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run("job", "create", "-f", str(repository / "job.yml"), "-o", "json")
    again = run("job", "create", "--from", first["id"][:20], "-o", "json")
    spec = client.get(f"/v1/jobs/{again['id']}/spec")
    assert spec.content == client.get(f"/v1/jobs/{first['id']}/spec").content
    assert again["inputs"] == first["inputs"]
    changes = ["--set", "inputs.rate=0.5", "--set", "tags.why=rate", "--name", "second"]
    edited = run("job", "create", "--from", first["id"], *changes, "-o", "json")
    assert edited["inputs"]["rate"]["value"] == 0.5
    assert (edited["display_name"], edited["tags"]) == ("second", {"why": "rate"})
    code = json.loads(spec.content)["code"]
    assert json.loads(client.get(f"/v1/jobs/{edited['id']}/spec").content)["code"] == code
    before = run("job", "show", first["id"], "-o", "json")["git"]
    assert run("job", "show", edited["id"], "-o", "json")["git"] == before is not None

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train.py").write_text("print('other')\n")
    monkeypatch.chdir(tmp_path)
    moved = run("job", "create", "--from", first["id"], "--set", "code=./other", "-o", "json")
    assert json.loads(client.get(f"/v1/jobs/{moved['id']}/spec").content)["code"] != code

    said = run("job", "create", "--from", first["id"], "--set", "inputs.rat=1", code=2)
    assert "has no input 'rat'" in said
    assert "rate" in said
    assert "--file FILE, or --from JOB" in run("job", "create", code=2)
    assert "no job" in run("job", "create", "--from", "nothing", code=5).lower()


def test_a_step_stands_for_its_whole_job(run: Run, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(
        "# words that stay\ntype: pipeline\njobs:\n  a: {type: command, command: 'true'}\n"
    )
    job = run("job", "create", "-f", str(tmp_path / "job.yml"), "-o", "json")
    step = job["children"][0]["id"]
    again = run("job", "create", "--from", step, "-o", "json")
    assert (again["type"], again["children"][0]["name"]) == ("pipeline", "a")


@pytest.mark.parametrize(
    "header",
    [
        "no json",
        '{"commit": "main", "is_dirty": false}',
        json.dumps({"commit": "0" * 40, "is_dirty": False, "more": 1}),
        json.dumps({"commit": "0" * 40, "is_dirty": False, "branch": "x" * 300}),
        json.dumps({"commit": "0" * 40, "is_dirty": True, "diff": "0" * 64}),
        "x" * 9000,
    ],
)
def test_a_header_that_makes_no_sense_is_refused(client: httpx.Client, header: str) -> None:
    answer = client.post(
        "/v1/jobs", json={"type": "command", "command": "true"}, headers={"Mlq-Git": header}
    )
    assert answer.status_code in (404, 422), answer.text
    assert client.get("/v1/jobs").json()["items"] == []


def test_a_job_without_code_says_what_its_file_was(
    run: Run, client: httpx.Client, repository: Path
) -> None:
    plain = repository / "plain.yml"
    plain.write_text("type: command\ncommand: echo 1\n")
    git(repository, "add", ".")
    head = commit(repository)
    (repository / "src" / "train.py").write_text("print(3)\n")  # which it does not bring
    clean = run("job", "create", "-f", plain, "-o", "json")["id"]
    found = run("job", "show", clean, "-o", "json")["git"]
    assert (found["commit"], found["is_dirty"], found["diff"]) == (head, False, None)
    plain.write_text("type: command\ncommand: echo 2\n")
    dirty = run("job", "create", "-f", plain, "-o", "json")["id"]
    assert "-command: echo 1\n+command: echo 2\n" in run("job", "show", dirty, "--diff")


def test_a_schedules_jobs_say_what_it_was_made_from(
    run: Run, client: httpx.Client, repository: Path
) -> None:
    schedule = repository / "nightly.yml"
    schedule.write_text(
        "name: nightly\ntrigger: {type: cron, expression: '0 2 * * *'}\ncreate_job: ./job.yml\n"
    )
    head = git(repository, "rev-parse", "HEAD")
    (repository / "src" / "train.py").write_text("print(2)\n")
    run("schedule", "create", "-f", schedule, "-o", "json")
    fired = run("schedule", "trigger", "nightly", "-o", "json")["job_id"]
    found = run("job", "show", fired, "-o", "json")["git"]
    assert (found["commit"], found["branch"], found["is_dirty"]) == (head, "trunk", True)
    assert "+print(2)\n" in run("job", "show", fired, "--diff")


def test_mlflows_clients_find_runs_of_jobs_by_commit(
    run: Run, client: httpx.Client, repository: Path
) -> None:
    job = run("job", "create", "-f", repository / "job.yml", "-o", "json")["id"]
    run("job", "create", "-f", repository / "job.yml", "--set", "tags.a=b", "-o", "json")
    head = git(repository, "rev-parse", "HEAD")
    api = "/api/2.0/mlflow"
    shown = client.get(f"{api}/runs/get", params={"run_id": job}).json()["run"]["data"]["tags"]
    tags = {one["key"]: one["value"] for one in shown}
    assert tags["mlflow.source.git.commit"] == head
    assert tags["mlflow.source.git.branch"] == "trunk"
    assert tags["mlflow.source.git.repoURL"] == "https://example.org/team/project.git"
    for commit_id, count in ((head, 2), ("0" * 40, 0)):
        wanted = {
            "experiment_ids": ["0"],
            "filter": f"tags.mlflow.source.git.commit = '{commit_id}'",
        }
        found = client.post(f"{api}/runs/search", json=wanted).json()["runs"]
        assert len(found) == count

"""Workers, API and database come to another version while a sweep and pipelines run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlq
import mlq_api
import mlq_workers
from mlq.db.migrate import head_revision
from mlq.onemachine import ports
from tests.acceptance.conftest import OpenStack, usually
from tests.acceptance.stack import JOBS, Part, Stack, wait_for
from tests.acceptance.sweeps import sweep, trials, up_to
from tests.acceptance.test_endings import command

NEXT = "99.0.0"
_TRIALS = 60
#: What a version may do to tables: it only adds. See test_migrations.py.
_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("mood", sa.String(length=16)))
    op.add_column("workers", sa.Column("mood", sa.String(length=16), server_default="fine"))
    op.create_index("ix_jobs_mood", "jobs", ["mood"])
    op.create_table("moods", sa.Column("name", sa.String(length=16), primary_key=True))


def downgrade() -> None:
    op.drop_table("moods")
"""


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of the version after this one, for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("next")
    leave_out = shutil.ignore_patterns("__pycache__", "static")
    for package in (mlq, mlq_workers, mlq_api):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, folder / source.name, ignore=leave_out)
    init = folder / "mlq" / "__init__.py"
    init.write_text(init.read_text().replace(f'"{mlq.__version__}"', f'"{NEXT}"'))
    added = folder / "mlq/db/migrations/versions/9999_next.py"
    added.write_text(_MIGRATION.format(head=head_revision()))
    return folder


@pytest.fixture(params=usually([("postgresql", "valkey")]), ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch, open_stack(*request.param) as stack:
        patch.setenv("PYTHONPATH", str(JOBS))
        yield stack
        stack.assert_sound()


def _of(folder: Path) -> list[str]:
    return ["env", f"PYTHONPATH={folder}:{JOBS}"]


def _mlq(stack: Stack, *arguments: str, folder: Path | None = None) -> tuple[int, str]:
    """The exit code and all that a command says; of this version unless `folder` has another."""
    assert stack.api is not None
    environment = {
        **os.environ,
        "MLQ_HOME": str(stack.settings.home),
        "MLQ_DATABASE_URL": stack.settings.database,
        "MLQ_BROKER_URL": stack.settings.broker_url,
        "MLQ_API_URL": str(stack.api.base_url),
        "MLQ_TOKEN": stack.api.headers["authorization"].removeprefix("Bearer "),
    }
    run = [*(_of(folder) if folder else []), sys.executable, "-P", "-m", "mlq.cli", *arguments]
    told = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    return told.returncode, told.stdout + told.stderr


def _versions(stack: Stack) -> dict[str, Any]:
    """What `mlq doctor` finds about versions."""
    checks = stack.api_get("/v1/doctor")["checks"]
    return next(one for one in checks if one["name"] == "versions")


def test_each_part_is_replaced_while_jobs_run(
    stack: Stack, next_version: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"  # until it is there, jobs do not end
    stack.start_api()
    api = stack.parts[-1]
    workers = [stack.worker(drain_grace_s=1) for _ in range(2)]
    serving = stack._start("serve", ["mlq_api.serving", "--port", str(ports.find_free_port())])
    wait_for(lambda: stack.api_get("/v1/servers")["items"][1:], what="both servers are listed")
    assert _versions(stack)["ok"], _versions(stack)

    grid = sweep("patient", {"x": up_to(_TRIALS)}, {"flag": str(flag), "after": 20})
    tuning = stack.submit({**grid, "limits": {"max_concurrent_trials": 2}})
    lines = [stack.submit(_line(number, flag)) for number in range(3)]
    stack.wait_running(lines[0], "b")
    wait_for(lambda: any(one["state"] == "succeeded" for one in trials(stack, tuning)))

    code, said = _mlq(stack, "db", "upgrade", folder=next_version)
    assert code == 0, said
    for old in workers:
        assert old.stop() == 0
        new = stack.worker(under=_of(next_version), drain_grace_s=1)
        assert _version_of(stack, new) == NEXT
        found = _versions(stack)
        assert not found["ok"], "an API of the old version is left at least"
        assert NEXT in found["detail"], found
        assert mlq.__version__ in found["detail"], found
    assert all(stack.job(job)["state"] == "running" for job in (tuning, lines[0]))

    code, said = _mlq(stack, "worker", "list")
    assert code == 0, said
    assert "Versions differ" in said
    assert f"{NEXT}: " in said
    assert f"{mlq.__version__}: " in said
    # this API works on, but what is started now is told that it is too old
    assert stack.api is not None
    ready = stack.api.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"
    late = stack.submit(command("true"))
    for words in (("worker", "-c", "1"), ("db", "upgrade")):
        code, said = _mlq(stack, *words)
        assert code != 0, said
        assert "too old for the database" in said

    for part in (api, serving):
        assert part.stop() in (0, -signal.SIGTERM)  # uvicorn ends by the signal
    stack.start_api(under=_of(next_version))
    assert stack.api_get("/healthz")["version"] == NEXT
    assert stack.api.get("/readyz").json()["status"] == "ok"
    wait_for(lambda: _versions(stack)["ok"], what="all are of one version")

    flag.touch()
    for job in (tuning, late, *lines):
        stack.wait(job)
    _assert_nothing_was_burned(stack, [tuning, late, *lines])
    found = trials(stack, tuning)
    assert [one["state"] for one in found] == ["succeeded"] * _TRIALS


def _line(number: int, flag: Path) -> dict[str, Any]:
    """Components and commands that wait for `flag`, one after the other."""
    value = "${{parent.jobs.%s.outputs.value}}"
    wait = f"while [ ! -e {flag} ]; do sleep 0.1; done; echo ${{{{inputs.x}}}}"
    return {
        "type": "pipeline",
        "jobs": {
            "a": {"component": "mlq:pass", "inputs": {"value": number}},
            "b": {**command(wait), "inputs": {"x": value % "a"}},
            "c": {"component": "mlq:pass", "inputs": {"value": value % "a"}},
            "d": {**command(wait), "inputs": {"x": value % "c"}},
        },
    }


def _version_of(stack: Stack, part: Part) -> str:
    found = {one["pid"]: one["version"] for one in stack.api_get("/v1/workers")["items"]}
    return str(found[part.pid])


def _assert_nothing_was_burned(stack: Stack, roots: list[str]) -> None:
    for root in roots:
        for path, row in stack.tree(root).items():
            assert row["state"] in ("succeeded", "canceled"), f"{path}: {stack.brief(row)}"
            counts = (row["failure_count"], row["lost_count"])
            assert counts == (0, 0), f"{path}: {stack.brief(row)}"

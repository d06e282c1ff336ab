"""Environments that are really built, of a package that needs no index."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mlq.errors import StepError
from mlq_workers.environments import Environments, Interrupted, activate
from mlq_workers.runner import CommandOutcome, CommandSpec, run_command
from tests.wheels import make_wheel

DAY_S = 86400.0


class Bench:
    """A folder of environments, and a job's log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1e9
        self.log: list[str] = []
        self.builds = 0
        self.environments = self.make()

    def make(self) -> Environments:
        return Environments(self.folder / "environments", keep_s=DAY_S, clock=lambda: self.now)

    def run(self, command: str, variables: dict[str, str]) -> CommandOutcome:
        return run_command(
            CommandSpec(command=command, cwd=self.folder, env=variables, timeout_s=100),
            on_log=lambda stream, chunk: self.log.append(chunk.decode()),
            on_start=lambda pid: None,
            should_stop=lambda: None,
        )

    def build(self, command: str, variables: dict[str, str], home: Path) -> CommandOutcome:
        self.builds += 1
        return self.run(command, variables)

    def use(self, *requirements: str, **more: Any) -> Any:
        given = {"build": self.build, "say": self.log.append, "should_stop": lambda: None, **more}
        return self.environments.use(requirements, **given)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A requirement for a package that is a file here."""
    return make_wheel(tmp_path)


def test_it_is_built_once_used_and_collected(bench: Bench, wheel: str) -> None:
    for _ in range(2):
        with bench.use(wheel) as home:
            outcome = bench.run(
                'python -c \'import mlq, mlq_probe, sys; mlq.log_metric("a", 1);'
                "print(mlq_probe.ANSWER, sys.prefix)'; python -c 'import pandas' || echo alone",
                activate(home),
            )
            assert outcome.reason is None
    assert bench.builds == 1
    said = "".join(bench.log)
    assert f"42 {home}\n" in said
    assert "alone" in said
    assert f"building the environment {home.name}: mlq-probe @" in said

    bench.now = (home / ".ready").stat().st_mtime + 2 * DAY_S
    other = bench.folder / "environments" / ("0" * 32)
    other.mkdir()
    (other / ".ready").touch()
    other.with_suffix(".lock").touch()
    with bench.make().use(
        [wheel], build=bench.build, say=bench.log.append, should_stop=lambda: None
    ):
        assert home.exists(), "it is in use"
    assert not other.exists()


@pytest.mark.parametrize("has_uv", [True, False])
def test_a_failure_names_the_requirement(
    bench: Bench, wheel: str, has_uv: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    if not has_uv:
        monkeypatch.setattr("mlq_workers.environments._find_uv", lambda: None)
    with pytest.raises(StepError) as caught, bench.use(wheel, "mlq-no-such-package>=3"):
        pass
    assert caught.value.code == "environment_failed"
    assert "'mlq-no-such-package>=3' cannot be installed" in caught.value.message
    assert not [path for path in (bench.folder / "environments").iterdir() if path.is_dir()]


def test_who_waits_for_a_build_can_be_stopped(bench: Bench, wheel: str) -> None:
    building, go = threading.Event(), threading.Event()

    def slow(command: str, variables: dict[str, str], home: Path) -> CommandOutcome:
        building.set()
        go.wait(60)
        return bench.build(command, variables, home)

    def use() -> None:
        with bench.use(wheel, build=slow):
            pass

    other = threading.Thread(target=use)
    other.start()
    assert building.wait(60)
    with pytest.raises(Interrupted) as caught, bench.use(wheel, should_stop=lambda: "cancel"):
        pass
    assert caught.value.stop == "cancel"
    assert any("waiting for it" in line for line in bench.log)
    go.set()
    other.join()
    with bench.use(wheel):
        pass
    assert bench.builds == 1


def test_a_build_that_is_stopped_leaves_nothing(bench: Bench, wheel: str) -> None:
    def stopped(command: str, variables: dict[str, str], home: Path) -> CommandOutcome:
        return run_command(
            CommandSpec(command="sleep 60", cwd=bench.folder),
            on_log=lambda stream, chunk: None,
            on_start=lambda pid: None,
            should_stop=lambda: "drain",
        )

    with pytest.raises(Interrupted) as caught, bench.use(wheel, build=stopped):
        pass
    assert caught.value.outcome is not None
    assert caught.value.outcome.reason == "drained"
    with bench.use(wheel):
        pass
    assert bench.builds == 1

"""mlq:test asks a real replica about rows, as a step of a pipeline does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlq.client import Client
from mlq.errors import RejectedError, StepError
from mlq_workers.components import staging
from mlq_workers.components.base import Metric, Step
from tests.integration.serving.conftest import ROWS, World


@pytest.fixture
def world(sqlite_world: World) -> World:
    sqlite_world.deploy(sqlite_world.register("one"), alias="staging")
    sqlite_world.start()
    return sqlite_world


def step_of(world: World, tmp_path: Path, *, package: str, **inputs: Any) -> Step:
    rows = tmp_path / "rows.parquet"
    pd.DataFrame(ROWS).to_parquet(rows)
    return Step(
        inputs={
            "endpoint": "shop",
            "deployment": "staging",
            "version": "models:/churn/1",
            "model": world.packages[package],
            "data": rows,
            "rows": 200,
            **inputs,
        },
        scratch=tmp_path,
        open_api=lambda: Client(world.url, world.token),
    )


def test_a_deployment_that_says_what_its_model_says_passes(world: World, tmp_path: Path) -> None:
    step = step_of(world, tmp_path, package="one", p95_ms=60_000.0)
    measured: list[Metric] = []
    step.log_metric = measured.append
    result = staging.run(step)
    assert result.outputs["version"] == "models:/churn/1"
    report = json.loads(result.outputs["report"].read_text())
    assert (report["rows"], report["requests"], report["errors"], report["differences"]) == (
        *(2, 2, 0, 0),
    )
    assert {one.key for one in measured} == {"p50_ms", "p95_ms"}


def test_other_answers_are_rejected_with_an_example(world: World, tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match=r"2 of 2 answers .*: 'one' and not 'two'") as told:
        staging.run(step_of(world, tmp_path, package="two"))
    assert told.value.numbers["differences"] == 2


def test_slow_answers_are_rejected(world: World, tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="over the limit of 1e-06 ms"):
        staging.run(step_of(world, tmp_path, package="one", p95_ms=0.000_001))


def test_another_version_is_waited_for_and_named(world: World, tmp_path: Path) -> None:
    step = step_of(world, tmp_path, package="one", version="models:/churn/2")
    hours = itertools.count(step=3600)
    with pytest.raises(StepError, match="models:/churn/1 answers there") as told:
        staging.run(step, clock=lambda: float(next(hours)), sleep=lambda _: None)
    assert told.value.code == "not_deployed"


def test_a_worker_without_an_address_says_so(world: World, tmp_path: Path) -> None:
    step = step_of(world, tmp_path, package="one")
    step.open_api = None
    with pytest.raises(StepError, match="does not know the API's address") as told:
        staging.run(step)
    assert told.value.code == "no_api"

"""Small frames, and a way to run a component as a worker does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from mlq.spec.builtin import BUILTIN
from mlq_workers.components import load
from mlq_workers.components.base import Metric, Result, Step


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a worker's slot: many small parallel regions on busy cores take seconds."""
    with threadpool_limits(1):
        yield


@dataclass
class Ran:
    """What a component gave back, reported and said."""

    scratch: Path
    result: Result | None = None
    metrics: list[Metric] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __getitem__(self, output: str) -> Any:
        assert self.result is not None
        return self.result.outputs[output]

    def final(self) -> dict[str, float]:
        """Metrics that are no fold's."""
        return {metric.key: metric.value for metric in self.metrics if metric.step == 0}


Go = Callable[..., Ran]


@pytest.fixture
def started(tmp_path: Path) -> list[Ran]:
    """Every run of the test, failed ones included."""
    return []


@pytest.fixture
def go(tmp_path: Path, started: list[Ran]) -> Go:
    """go(name, sources=…, **inputs): frames are written as Parquet, defaults are filled in."""

    def run(name: str, /, *, sources: dict[str, str] | None = None, **given: Any) -> Ran:
        scratch = tmp_path / f"run{len(started)}"
        scratch.mkdir()
        ran = Ran(scratch)
        started.append(ran)
        ports = BUILTIN[name].inputs
        inputs = {key: port.default for key, port in ports.items() if port.default is not None}
        for key, value in given.items():
            if isinstance(value, pd.DataFrame):
                file = tmp_path / f"{key}{len(started)}.parquet"
                value.to_parquet(file)
                value = file
            inputs[key] = value
        step = Step(inputs, scratch, sources or {}, ran.metrics.append, ran.lines.append)
        ran.result = load(name)(step)
        return ran

    return run


@pytest.fixture
def people() -> pd.DataFrame:
    """100 rows of mixed types with gaps; `left` is text and follows from `age` and `plan`."""
    generator = np.random.default_rng(7)
    age = generator.normal(45, 12, 100).round(1)
    plan = generator.choice(["basic", "plus", "pro"], 100)
    noise = generator.normal(0, 4, 100)
    frame = pd.DataFrame(
        {
            "age": age,
            "plan": plan,
            "active": generator.choice([True, False], 100),
            "since": pd.date_range("2020-01-01", periods=100, freq="D"),
            "left": np.where(age + noise + 8 * (plan == "basic") > 47, "yes", "no"),
        }
    )
    frame.loc[3, "age"] = None
    frame.loc[5, "plan"] = None
    return frame


@pytest.fixture
def houses() -> pd.DataFrame:
    """80 numeric rows; `price` is a number that follows from the others."""
    generator = np.random.default_rng(3)
    area = generator.uniform(30, 200, 80)
    rooms = generator.integers(1, 7, 80)
    price = 3 * area + 10 * rooms + generator.normal(0, 5, 80)
    return pd.DataFrame({"area": area, "rooms": rooms, "price": price})

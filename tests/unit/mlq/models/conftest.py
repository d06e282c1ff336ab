"""Pipelines as mlq:train builds them, and the rows they were fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from mlq.models.package import LoadedModel, write_package
from mlq.models.transformers import Clip, Columns

COLUMNS = [
    {"name": "n", "kind": "number", "required": False},
    {"name": "m", "kind": "number", "required": True},
    {"name": "c", "kind": "category", "required": True},
    {"name": "f", "kind": "boolean", "required": True},
    {"name": "d", "kind": "datetime", "required": True},
]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture
def rows() -> pd.DataFrame:
    """60 raw rows with a gap in `n`."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": generator.normal(size=60),
            "m": generator.integers(0, 9, 60),
            "c": generator.choice(["x", "y", "z"], 60),
            "f": generator.choice([True, False], 60),
            "d": pd.date_range("2024-01-01", periods=60, freq="h"),
        }
    )
    frame.loc[2, "n"] = None
    return frame


@pytest.fixture
def labels(rows: pd.DataFrame) -> np.ndarray:
    """Two text classes, shape (60,)."""
    return np.where(rows["m"] + rows["n"].fillna(0) > 4, "many", "few")


def build(estimator: Any) -> Pipeline:
    """An unfitted pipeline for COLUMNS."""
    numbers = ["n", "m", "d", "d.month", "d.day_of_week", "d.hour"]
    encode = OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False)
    branches = [
        ("number", make_pipeline(Clip(0.01, 0.99), SimpleImputer()), numbers),
        ("boolean", "passthrough", ["f"]),
        ("category", encode, ["c"]),
    ]
    return Pipeline(
        [
            ("columns", Columns(COLUMNS)),
            ("recipe", ColumnTransformer(branches, sparse_threshold=0)),
            ("estimator", estimator),
        ]
    )


Write = Callable[..., LoadedModel]


@pytest.fixture
def write(tmp_path: Path, rows: pd.DataFrame) -> Write:
    """write(fitted pipeline, task=…): store it in tmp_path/model and read it back."""

    def store(pipeline: Any, *, task: str = "classification", **metadata: Any) -> LoadedModel:
        return write_package(
            tmp_path / "model",
            pipeline,
            columns=COLUMNS,
            rows=rows,
            task=task,
            target="y",
            metadata=metadata,
        )

    return store

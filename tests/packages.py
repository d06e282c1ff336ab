"""Small model packages for tests, written as mlq:train writes them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlq.models.package import LoadedModel, write_package

#: Who stays `months` with a `plan` leaves or not; the label follows from months alone.
ROWS = pd.DataFrame(
    {
        "months": [1.0, 2.0, 3.0, 40.0, 50.0, 60.0],
        "plan": ["basic", "basic", "plus", "plus", "basic", "plus"],
    }
)
LABELS = pd.Series(["yes", "yes", "yes", "no", "no", "no"])
COLUMNS = [
    {"name": "months", "kind": "number", "required": True},
    {"name": "plan", "kind": "category", "required": True},
]


def _prepare() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["months"]),
            (
                "texts",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
                ),
                ["plan"],
            ),
        ]
    )


def write_classifier(path: Path, *, strength: float = 1.0) -> LoadedModel:
    """A model that says `yes` for few months and `no` for many. strength: of the penalty."""
    pipeline = make_pipeline(_prepare(), LogisticRegression(C=1 / strength)).fit(ROWS, LABELS)
    return write_package(
        path,
        pipeline,
        columns=COLUMNS,
        rows=ROWS,
        task="classification",
        target="leaves",
        metadata={},
    )


def write_regressor(path: Path) -> LoadedModel:
    """A model that says twice the months."""
    pipeline = make_pipeline(_prepare(), LinearRegression()).fit(ROWS, ROWS["months"] * 2)
    return write_package(
        path, pipeline, columns=COLUMNS, rows=ROWS, task="regression", target="double", metadata={}
    )


def write_constant(path: Path, answer: str) -> LoadedModel:
    """A model that says `answer`, whatever it is asked."""
    labels = [answer, "other"] * 3
    pipeline = make_pipeline(_prepare(), DummyClassifier(strategy="constant", constant=answer))
    return write_package(
        path,
        pipeline.fit(ROWS, labels),
        columns=COLUMNS,
        rows=ROWS,
        task="classification",
        target="leaves",
        metadata={"answer": answer},
    )

"""A pipeline of Python functions: every kind of value flows through it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from flower_model import make_model
from sklearn.base import ClassifierMixin

import mlq


class Parts(NamedTuple):
    train: pd.DataFrame
    test: pd.DataFrame


@mlq.component
def split(rows: pd.DataFrame, share: float = 0.25) -> Parts:
    """Every n-th row is for the test."""
    is_test = np.arange(len(rows)) % round(1 / share) == 0
    return Parts(rows[~is_test].reset_index(drop=True), rows[is_test].reset_index(drop=True))


@mlq.component(is_deterministic=True)
def train(rows: pd.DataFrame, target: str, options: dict) -> ClassifierMixin:
    model = make_model(**options)
    model.fit(rows.drop(columns=target), rows[target])
    return model


@mlq.component
def predict(model: ClassifierMixin, rows: pd.DataFrame, target: str) -> np.ndarray:
    return model.predict_proba(rows.drop(columns=target))[:, 1]


@mlq.step(retries=1, environment_variables={"REPORTED_BY": "mlq"})
def report(scores: np.ndarray, rows: pd.DataFrame, target: str, title: str) -> dict:
    accuracy = float(((scores > 0.5) == (rows[target] == 1)).mean())
    mlq.log_metric("accuracy", accuracy)
    return {"accuracy": accuracy, "rows": len(rows), "title": title}


@mlq.component
def page(content: dict, at_least: float) -> Path:
    path = Path("report.txt")
    path.write_text(f"{content['title']}: {content['accuracy'] >= at_least}\n")
    return path


@mlq.pipeline(experiment="flowers")
def flowers(rows: Path, target: str = "y", c: float = 1.0, title: str = "it's $HOME") -> dict:
    parts = split(rows)
    model = train(parts.train, target, {"C": c})
    content = report(predict(model, parts.test, target), parts.test, target, title)
    return {"report": content, "page": page(content, 0.5)}

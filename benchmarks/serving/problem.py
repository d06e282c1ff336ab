"""The two models that all servers serve, and the rows that they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlq.models.onnx import export_model

COLUMNS = [f"x{number}" for number in range(20)]
_TRAINED = 2000


@dataclass(frozen=True)
class Problem:
    """A fitted model and its rows.

    named: fitted on a frame. bare: the same model fitted on an array, so that scikit-learn neither
    looks for names nor warns that there are none: what a server that reads lists serves fastest.
    onnx: as mlq writes it; None where it is not exact.
    """

    name: str
    named: Any
    bare: Any
    frame: pd.DataFrame
    labels: np.ndarray
    onnx: bytes | None

    def rows(self, count: int) -> list[list[float]]:
        """So many rows, as lists."""
        return [[float(value) for value in row] for row in self.frame.to_numpy()[:count]]

    def answers(self, count: int) -> list[int]:
        """What every server must say to them."""
        return [int(label) for label in self.bare.predict(self.frame.to_numpy()[:count])]


def make_problem(name: str, *, seed: int = 7) -> Problem:
    """`logistic`: scaled logistic regression. `forest`: the same with a forest of 100 trees."""
    values, labels = make_classification(
        n_samples=_TRAINED, n_features=len(COLUMNS), n_informative=8, random_state=seed
    )
    frame = pd.DataFrame(values, columns=COLUMNS)

    def make() -> Any:
        last = (
            LogisticRegression()
            if name == "logistic"
            else RandomForestClassifier(n_estimators=100, random_state=seed)
        )
        return make_pipeline(StandardScaler(), last)

    named, bare = make().fit(frame, labels), make().fit(values, labels)
    onnx = export_model(named, frame, kinds=["number"] * len(COLUMNS), has_probabilities=True)
    return Problem(name, named, bare, frame, labels, onnx)

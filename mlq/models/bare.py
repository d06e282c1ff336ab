"""A pipeline of numbers asked with arrays: neither data frames nor looking up names.

For one row that is most of what scikit-learn costs. The copy shares all that was fitted with the
original; it is used only where both answer the package's example exactly alike.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, slots=True)
class BareModel:
    """A pipeline that takes values by place. Safe to use from many threads."""

    pipeline: Any

    def run(
        self, rows: np.ndarray, *, with_probabilities: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Predictions, shape (rows,), and probabilities, shape (rows, classes), float64.

        rows: float64, shape (rows, columns). with_probabilities: only where the model has them.
        Raises whatever the pipeline raises.
        """
        import numpy as np

        predictions = np.asarray(self.pipeline.predict(rows))
        shares = np.asarray(self.pipeline.predict_proba(rows)) if with_probabilities else None
        return predictions, shares


def strip(pipeline: Any, example: pd.DataFrame, *, has_probabilities: bool) -> BareModel | None:
    """The pipeline for arrays; None where it needs names, or does not answer `example` the same.

    example: raw rows of numbers, the model's columns in order.
    """
    import numpy as np

    bare = BareModel(without_names(pipeline))
    values = example.to_numpy(dtype=np.float64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a part that asks for names warns at each call
            predictions, shares = bare.run(values, with_probabilities=has_probabilities)
    except Exception:  # whatever a part raises that is at home with frames only
        return None
    if not np.array_equal(predictions, pipeline.predict(example)):
        return None
    if shares is not None and not np.array_equal(shares, pipeline.predict_proba(example)):
        return None
    return bare


def without_names(estimator: Any) -> Any:
    """A copy that knows its columns by place, and leaves out typing that changes no numbers."""
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, BaseEstimator):
        return estimator
    bare = copy.copy(estimator)
    bare.__dict__.pop("feature_names_in_", None)
    if isinstance(bare, Pipeline):
        bare.steps = [
            (name, without_names(step)) for name, step in bare.steps if not _is_typing(step)
        ]
    if isinstance(bare, ColumnTransformer):
        places = {name: at for at, name in enumerate(getattr(estimator, "feature_names_in_", ()))}
        bare.transformers_ = [
            (name, without_names(part), _places(columns, places))
            for name, part, columns in bare.transformers_
        ]
    return bare


def _places(columns: Any, places: Mapping[Any, int]) -> Any:
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        return columns
    return [places.get(column, column) for column in columns]


def _is_typing(step: Any) -> bool:
    """Whether a step only makes numbers of numbers."""
    from mlq.models.transformers import Columns

    return isinstance(step, Columns) and all(one["kind"] == "number" for one in step.columns)

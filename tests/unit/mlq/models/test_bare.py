from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mlq.models.bare import strip

ROWS = pd.DataFrame(np.random.default_rng(3).normal(size=(200, 3)), columns=list("abc"))
SIGN = np.where(ROWS["a"] + ROWS["c"] > 0, "up", "down")


@pytest.mark.parametrize(
    "first",
    [StandardScaler(), ColumnTransformer([("some", StandardScaler(), ["c", "a"])])],
)
@pytest.mark.filterwarnings("error")
def test_a_pipeline_answers_arrays_as_it_answers_frames(first: Any) -> None:
    pipeline = make_pipeline(first, RandomForestClassifier(5, random_state=0)).fit(ROWS, SIGN)
    bare = strip(pipeline, ROWS.head(3), has_probabilities=True)
    assert bare is not None
    predictions, shares = bare.run(ROWS.to_numpy(), with_probabilities=True)
    assert predictions.tolist() == pipeline.predict(ROWS).tolist()
    assert shares is not None
    assert shares.tolist() == pipeline.predict_proba(ROWS).tolist()
    assert bare.run(ROWS.to_numpy(), with_probabilities=False)[1] is None
    assert pipeline.feature_names_in_.tolist() == list("abc")  # the original is as it was


def test_what_asks_for_names_keeps_its_frames() -> None:
    by_name = FunctionTransformer(lambda rows: rows[["a"]])
    pipeline = make_pipeline(by_name, LinearRegression()).fit(ROWS, ROWS["a"])
    assert strip(pipeline, ROWS.head(3), has_probabilities=False) is None


def test_what_would_warn_at_each_call_keeps_its_frames() -> None:
    voting = VotingClassifier([("one", LogisticRegression())]).fit(ROWS, SIGN)
    assert strip(voting, ROWS.head(3), has_probabilities=False) is None

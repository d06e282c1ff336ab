"""The training profile of a model, and drift by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier

from mlq.models.profile import PROFILE_FILE, compare, make_profile, read_profile

KINDS = {"age": "number", "plan": "category", "member": "boolean", "note": "text"}


def table(*, seed: int, shift: float = 0.0, plans: str = "aab", rows: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(40 + shift, 10, rows),
            "plan": rng.choice(list(plans), rows),
            "member": rng.random(rows) < 0.5,
            "note": ["text"] * rows,
        }
    )


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    rows = table(seed=1)
    rows.loc[:99, "age"] = np.nan
    model = DummyClassifier(strategy="most_frequent").fit(rows, rows["plan"])
    columns = [{"name": name, "kind": kind} for name, kind in KINDS.items()]
    made = make_profile(model, rows, columns=columns, task="classification")
    return dict(json.loads(json.dumps(made)))  # as a package holds it


def drift(
    profile: dict[str, Any], rows: pd.DataFrame, said: str = "a"
) -> dict[str, dict[str, Any]]:
    found = compare(profile, rows.to_dict("list"), [said] * len(rows))
    return {one["name"]: one for one in [*found["features"], found["prediction"]]}


def test_rows_like_those_of_training_do_not_drift(profile: dict[str, Any]) -> None:
    found = drift(profile, table(seed=2))
    assert {one["drift"] for one in found.values()} == {"none", None}
    assert found["note"]["drift"] is None  # texts are not compared
    assert found["age"]["missing_before"] == 0.05
    assert found["age"]["p_value"] > 0.01
    assert found["plan"]["p_value"] > 0.01
    assert found["prediction"]["psi"] == 0.0


def test_numbers_that_moved_are_seen_by_every_measure(profile: dict[str, Any]) -> None:
    moved = table(seed=2, shift=10)
    age = drift(profile, moved)["age"]
    # one standard deviation: PSI by its integral over normal densities is 1, KS 2 Phi(1/2) - 1
    assert age["psi"] == pytest.approx(1.0, abs=0.3)
    assert age["ks"] == pytest.approx(2 * stats.norm.cdf(0.5) - 1, abs=0.04)
    assert age["p_value"] < 1e-9
    assert age["drift"] == "large"
    assert 0 < age["out_of_range"] < 0.05


def test_the_sketch_gives_the_statistic_of_the_whole_sample(profile: dict[str, Any]) -> None:
    before, after = table(seed=1)["age"][100:], table(seed=3, shift=3, rows=500)
    expected = stats.ks_2samp(before, after["age"])
    age = drift(profile, after)["age"]
    assert age["ks"] == pytest.approx(expected.statistic, abs=1 / 400)
    assert age["p_value"] == pytest.approx(expected.pvalue, rel=0.6)


def test_labels_that_moved_and_labels_that_are_new(profile: dict[str, Any]) -> None:
    moved = drift(profile, table(seed=2, plans="abb"))["plan"]
    before = pd.Series(table(seed=1)["plan"]).value_counts()
    after = pd.Series(table(seed=2, plans="abb")["plan"]).value_counts()
    expected = stats.chi2_contingency([before[["a", "b"]], after[["a", "b"]]], correction=False)
    assert moved["chi_square"] == pytest.approx(expected.statistic)
    assert moved["p_value"] == pytest.approx(expected.pvalue)
    assert (moved["drift"], moved["unknown"]) == ("large", 0.0)
    new = drift(profile, table(seed=2, plans="aabz"))["plan"]
    assert new["unknown"] == pytest.approx(0.25, abs=0.05)


def test_missing_values_and_other_predictions(profile: dict[str, Any]) -> None:
    rows = table(seed=2).astype(object)
    rows.loc[:999, "age"] = None
    found = drift(profile, rows, said="b")
    assert found["age"]["missing"] == 0.5
    assert found["prediction"]["drift"] == "large"
    nothing = drift(profile, pd.DataFrame({"age": [None], "plan": [None]}))
    assert nothing["age"]["drift"] is None


def test_a_package_without_a_readable_profile_has_none(tmp_path: Path) -> None:
    assert read_profile(tmp_path) is None
    (tmp_path / PROFILE_FILE).write_text("[")
    assert read_profile(tmp_path) is None

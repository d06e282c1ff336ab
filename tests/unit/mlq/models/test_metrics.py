import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import get_scorer, get_scorer_names

from mlq.errors import StepError
from mlq.models.metrics import (
    DEFAULTS,
    ERRORS,
    KNOWN,
    SCORES,
    Threshold,
    direction,
    gain,
    metric_name,
    parse_threshold,
    scorer_name,
    unique,
)

#: scikit-learn's scorers for clusterings and for many labels at once, which mlq does not train.
NOT_OURS = {
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "completeness_score",
    "fowlkes_mallows_score",
    "homogeneity_score",
    "mutual_info_score",
    "normalized_mutual_info_score",
    "rand_score",
    "v_measure_score",
    "f1_samples",
    "jaccard_samples",
    "precision_samples",
    "recall_samples",
}


def test_the_table_is_scikit_learns() -> None:
    ours = {scorer_name(name) for name in KNOWN}
    assert ours == set(get_scorer_names()) - NOT_OURS


@pytest.mark.parametrize("name", sorted(ERRORS | SCORES))
def test_direction_is_the_scorers_sign(name: str) -> None:
    sign = get_scorer(scorer_name(name))._sign
    assert direction(name) == ("minimize" if sign < 0 else "maximize")


def test_names() -> None:
    assert metric_name("neg_log_loss") == metric_name("log_loss") == "log_loss"
    assert unique(["neg_log_loss", "f1", "log_loss"]) == ["log_loss", "f1"]
    assert all(name in KNOWN for names in DEFAULTS.values() for name in names)
    with pytest.raises(StepError) as caught:
        metric_name("rocauc")
    assert "roc_auc" in caught.value.hint
    with pytest.raises(StepError):
        metric_name("neg_accuracy")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("roc_auc_fold", "maximize"),
        ("log_loss_fold", "minimize"),
        ("validation_loss", "minimize"),
        ("rmse", "minimize"),
        ("reward", "maximize"),
    ],
)
def test_direction_of_other_names(name: str, expected: str) -> None:
    assert direction(name) == expected


def test_gain() -> None:
    assert gain("accuracy", new=0.9, old=0.8) == pytest.approx(0.1)
    assert gain("log_loss", new=0.9, old=0.8) == pytest.approx(-0.1)


def test_thresholds() -> None:
    assert parse_threshold("roc_auc >= 0.9") == Threshold("roc_auc", ">=", 0.9)
    assert parse_threshold(" r2>-1e-3 ") == Threshold("r2", ">", -0.001)
    assert parse_threshold("neg_root_mean_squared_error >= -3") == Threshold(
        "root_mean_squared_error", "<=", 3
    )
    assert str(parse_threshold("max_error < 2.50")) == "max_error < 2.5"


@pytest.mark.parametrize("text", ["", "roc_auc", "roc_auc => 1", "0.9 <= roc_auc", "r2 >= 1.2.3"])
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(StepError) as caught:
        parse_threshold(text)
    assert caught.value.code == "invalid_threshold"


@given(st.floats(-5, 5), st.sampled_from([">=", "<=", ">", "<", "=="]), st.floats(-5, 5))
def test_is_met_reads_as_python(value: float, op: str, bound: float) -> None:
    assert Threshold("r2", op, bound).is_met(value) == eval(f"{value!r} {op} {bound!r}")
    assert not Threshold("r2", op, bound).is_met(math.nan)


def test_needs_no_scientific_stack() -> None:
    code = (
        "import sys, mlq.models.metrics, mlq.models.package;"
        "print([name for name in ('numpy', 'pandas', 'sklearn', 'skops') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

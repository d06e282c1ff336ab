import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier

from mlq_workers.components.growth import Passes, WarmStart, find_growth, stages

X, Y = make_classification(120, 6, random_state=0)


@pytest.mark.parametrize(
    ("total", "counts"),
    [(1, [1]), (10, [10]), (11, [10, 11]), (40, [10, 20, 40]), (100, [10, 20, 40, 80, 100])],
)
def test_stages_double_and_end_at_the_total(total: int, counts: list[int]) -> None:
    assert list(stages(total)) == counts


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=25, random_state=3),
        ExtraTreesClassifier(n_estimators=25, random_state=3),
        BaggingClassifier(n_estimators=25, random_state=3),
        GradientBoostingClassifier(n_estimators=25, subsample=0.7, random_state=3),
        HistGradientBoostingClassifier(max_iter=25, max_features=0.5, random_state=3),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_ensembles_grow_to_the_model_that_one_fit_gives(estimator: object) -> None:
    growth = find_growth(estimator, rows=len(X))
    assert isinstance(growth, WarmStart)
    grown = type(estimator)(**estimator.get_params(deep=False))  # type: ignore[attr-defined]
    done = 0
    for count in stages(growth.total):
        growth.grow(grown, X, Y, done=done, count=count)
        done = count
    whole = estimator.fit(X, Y)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(grown.predict_proba(X), whole.predict_proba(X))


def test_others_pass_over_the_rows() -> None:
    growth = find_growth(SGDClassifier(max_iter=30, random_state=0), rows=len(X))
    assert growth == Passes(30)
    in_two, at_once = (SGDClassifier(max_iter=30, random_state=0) for _ in range(2))
    growth.grow(in_two, X, Y, done=0, count=10)
    growth.grow(in_two, X, Y, done=10, count=30)
    growth.grow(at_once, X, Y, done=0, count=30)
    assert in_two.t_ == at_once.t_ == 1 + 30 * len(X)
    np.testing.assert_array_equal(in_two.coef_, at_once.coef_)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        AdaBoostClassifier(),
        GradientBoostingClassifier(n_iter_no_change=5),
        HistGradientBoostingClassifier(early_stopping=True),
        RandomForestClassifier(oob_score=True),
        MLPClassifier(solver="lbfgs"),
        MLPClassifier(early_stopping=True),
        SGDClassifier(class_weight="balanced"),
    ],
)
def test_estimators_that_cannot_go_on_or_decide_when_to_stop(estimator: object) -> None:
    assert find_growth(estimator, rows=len(X)) is None


def test_histogram_boosting_stops_by_itself_on_many_rows() -> None:
    estimator = HistGradientBoostingClassifier(max_iter=30)
    assert find_growth(estimator, rows=10_000) == WarmStart("max_iter", 30)
    assert find_growth(estimator, rows=10_001) is None

from typing import Any

import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import Ridge

from mlq.errors import StepError
from mlq_workers.components.estimators import Maker, distribution_of, make_estimator

LOGISTIC = "sklearn.linear_model.LogisticRegression"


def test_params_and_seed() -> None:
    forest = make_estimator("sklearn.ensemble.RandomForestClassifier", {"max_depth": 3}, seed=7)
    assert isinstance(forest, RandomForestClassifier)
    assert (forest.max_depth, forest.random_state) == (3, 7)


def test_given_random_state_wins_and_nested_parameters_are_reached() -> None:
    forest = make_estimator("sklearn.ensemble.RandomForestClassifier", {"random_state": 1}, seed=7)
    assert forest.random_state == 1
    bagging = make_estimator("sklearn.ensemble.BaggingClassifier", {}, seed=7)
    assert isinstance(bagging, BaggingClassifier)
    assert bagging.random_state == 7


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sklearn.linear_model.LogisticRegresion", LOGISTIC),
        ("sklearn.linear.LogisticRegression", LOGISTIC),
        ("LogisticRegression", LOGISTIC),
        ("no_such_package.Model", "import path"),
        ("os.system", "import path"),
        ("sklearn.preprocessing.StandardScaler", ""),
        ("sklearn.cluster.KMeans", ""),
        ("../evil", "import path"),
        ("", "import path"),
    ],
)
def test_what_is_no_estimator(path: str, hint: str) -> None:
    with pytest.raises(StepError) as caught:
        make_estimator(path, {}, seed=0)
    assert caught.value.code == "unknown_estimator"
    assert hint in caught.value.hint


def test_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(StepError) as caught:
        make_estimator(LOGISTIC, {"max_itter": 3}, seed=0)
    assert caught.value.code == "unknown_parameter"
    assert "'max_iter'" in caught.value.hint
    with pytest.raises(StepError) as caught:
        make_estimator(LOGISTIC, {"zzz": 3}, seed=0)
    assert "class_weight" in caught.value.hint


def test_estimator_that_needs_another() -> None:
    with pytest.raises(StepError, match="estimator"):
        make_estimator("sklearn.multioutput.MultiOutputClassifier", {}, seed=0)


def test_distributions() -> None:
    assert distribution_of(LOGISTIC) is None
    assert distribution_of("pandas.Thing") == "pandas"


class Wrapped(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator with one inside, which no two of them may share."""

    def __init__(self, inner: Any = Ridge(), scale: float = 1.0) -> None:  # noqa: B008
        self.inner = inner
        self.scale = scale

    def fit(self, X: Any, y: Any) -> "Wrapped":
        self.inner.fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        return self.inner.predict(X) * self.scale


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("sklearn.ensemble.RandomForestClassifier", {"max_depth": 3}),
        ("sklearn.ensemble.RandomForestClassifier", {"random_state": None}),
        ("sklearn.ensemble.RandomForestClassifier", {}),
        (f"{__name__}.Wrapped", {"scale": 2.0}),
        (f"{__name__}.Wrapped", {"inner__alpha": 2.0}),
    ],
)
def test_maker_makes_what_make_estimator_does(path: str, params: dict[str, Any]) -> None:
    fixed = {} if "Wrapped" in path else {"n_estimators": 7, "max_depth": 2}
    make = Maker(path, fixed, seed=4).bind(params)
    wanted = make_estimator(path, {**fixed, **params}, seed=4)
    one, two = make(), make()
    assert repr(one.get_params()) == repr(wanted.get_params())
    assert one is not two
    assert "Wrapped" not in path or one.inner is not two.inner


def test_maker_names_the_nearest_parameter() -> None:
    maker = Maker("sklearn.linear_model.Ridge", {}, seed=0)
    with pytest.raises(StepError) as caught:
        maker.bind({"alhpa": 1})
    assert "'alpha'" in caught.value.hint

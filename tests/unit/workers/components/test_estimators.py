import pytest
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier

from mlq.errors import StepError
from mlq_workers.components.estimators import distribution_of, make_estimator

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

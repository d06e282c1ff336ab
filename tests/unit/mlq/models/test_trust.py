import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mlq.errors import StepError
from mlq.models.trust import check_trees, check_types

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def test_trusted_types() -> None:
    names = [
        "sklearn.tree._tree.Tree",
        "mlq.models.transformers.Columns",
        "numpy.dtype",
        "sklearn._loss.loss.HalfBinomialLoss",
    ]
    assert check_types([*names, names[0]]) == sorted(names)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "posix.system",
        "numpy.load",
        "numpy.f2py.compile",
        "subprocess.Popen",
        "functools.partial",
        "sklearn.utils._testing.assert_run_python_script_without_output",
        "sklearn.datasets._base.load_files",
        "sklearn.ensemble.no_such.Thing",
        "sklearn.svm._base._fit_liblinear",  # a function
        "sklearn.tree._export.export_graphviz",
        "sklearn.svmx.Evil",
        "mlq.models.transformers.as_numbers",
        "mlq.errors.MlqError",
        "mlq.models.transformers.pd.read_pickle",
        "sklearn.svm.os.system",
        "",
        "x",
        "sklearn.svm.",
        "..",
    ],
)
def test_everything_else_is_refused(name: str) -> None:
    with pytest.raises(StepError) as caught:
        check_types([name])
    assert caught.value.code == "untrusted_model"


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(),
        RandomForestClassifier(5),
        GradientBoostingRegressor(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5),
        HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5, categorical_features=[2]),
    ],
)
def test_trees_that_scikit_learn_made_are_sound(estimator: object) -> None:
    rows = np.c_[X[:, :2], GENERATOR.integers(0, 4, 60)]
    check_trees(make_pipeline(StandardScaler(), estimator).fit(X, Y))
    check_trees({"in": [estimator.fit(rows, Y)]})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "value"),
    [("left", 10_000), ("right", 0), ("feature_idx", 3), ("feature_idx", -1)],
)
def test_boosted_trees_that_point_outside(key: str, value: int) -> None:
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5).fit(X, Y)
    nodes = model._predictors[0][0].nodes
    assert not nodes["is_leaf"][0]
    nodes[key][0] = value
    with pytest.raises(StepError, match="point outside"):
        check_trees([model])


@pytest.mark.parametrize(
    ("key", "value"),
    [("children_left", 10_000), ("children_right", 0), ("feature", 3), ("feature", -2)],
)
def test_trees_that_point_outside(key: str, value: int) -> None:
    model = RandomForestClassifier(2, random_state=0).fit(X, Y)
    tree = model.estimators_[0].tree_
    getattr(tree, key)[0] = value
    with pytest.raises(StepError, match="point outside"):
        check_trees(model)


def test_tree_for_more_features_than_its_estimator_checks() -> None:
    model = DecisionTreeClassifier(random_state=0).fit(X[:, ::-1], Y)
    assert model.tree_.feature[0] == 2
    model.n_features_in_ = 1
    with pytest.raises(StepError):
        check_trees(model)

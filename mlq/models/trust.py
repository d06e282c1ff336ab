"""Which types a serialized model may hold, and whether its trees can be walked safely.

skops builds objects only of types that it or its caller trusts. A model's own list of types is
never taken at its word: each must be a class of one of the packages below, in the parts of them
that hold fitted state. Functions are refused altogether; a function such as `numpy.load` inside a
FunctionTransformer would be as good as a pickle.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mlq.errors import StepError

#: Modules whose classes may be built, besides what skops trusts by itself. Each is a prefix that
#: ends at a dot or at the end of the module's name.
ALLOWED_MODULES = (
    "collections",  # OrderedDict, defaultdict
    "lightgbm.basic",
    "lightgbm.sklearn",
    "mlq.models.transformers",
    "numpy.random",
    "scipy.interpolate",
    "scipy.sparse",
    "scipy.stats",
    "sklearn._loss",
    "sklearn.calibration",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.covariance",
    "sklearn.cross_decomposition",
    "sklearn.decomposition",
    "sklearn.discriminant_analysis",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.feature_extraction",
    "sklearn.feature_selection",
    "sklearn.gaussian_process",
    "sklearn.impute",
    "sklearn.isotonic",
    "sklearn.kernel_approximation",
    "sklearn.kernel_ridge",
    "sklearn.linear_model",
    "sklearn.metrics._dist_metrics",
    "sklearn.mixture",
    "sklearn.multiclass",
    "sklearn.multioutput",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.random_projection",
    "sklearn.svm",
    "sklearn.tree",
    "sklearn.utils._bunch",
    "xgboost.core",
    "xgboost.sklearn",
)

#: Single classes outside of these modules.
ALLOWED_CLASSES = frozenset({"numpy.dtype"})

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_LEAF = -1


def check_types(names: Iterable[str]) -> list[str]:
    """Return `names` sorted if a model may hold all of these types.

    Raises StepError (code `untrusted_model`) naming those it may not.
    """
    wanted = sorted(set(names))
    refused = [name for name in wanted if not _is_allowed(name)]
    if refused:
        raise StepError(
            f"The model holds types that are not trusted: {', '.join(refused)}.",
            code="untrusted_model",
            hint="Only scikit-learn, xgboost and lightgbm estimators and mlq's transformers load.",
        )
    return wanted


def _is_allowed(name: str) -> bool:
    if name in ALLOWED_CLASSES:
        return True
    if not _NAME.fullmatch(name) or ".tests" in name or "._testing" in name:
        return False
    if not any(name.startswith(f"{module}.") for module in ALLOWED_MODULES):
        return False
    module, _, attribute = name.rpartition(".")
    try:
        return isinstance(getattr(importlib.import_module(module), attribute), type)
    except (ImportError, AttributeError):
        return False


def check_trees(model: Any) -> None:
    """See that the nodes of every decision tree in `model` stay inside it.

    scikit-learn walks trees without looking at bounds, so a crafted file could otherwise crash the
    process that predicts. Children must come after their parent, which also rules out cycles.
    Raises StepError (code `untrusted_model`).
    """
    for found, width in _find_trees(model):
        sound = _is_sound if hasattr(found, "children_left") else _is_sound_predictor
        if not sound(found, width):
            raise StepError(
                "The model holds a decision tree whose nodes point outside of it.",
                code="untrusted_model",
                hint="The file is damaged or was made to do harm; do not use it.",
            )


def _is_sound(tree: Any, width: int | None) -> bool:
    """Whether a sklearn Tree stays within its nodes and within `width` features."""
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != _LEAF
    limit = tree.n_features if width is None else min(width, tree.n_features)
    return (
        tree.node_count >= 1
        and len(left) == tree.node_count
        and bool((right[~inner] == _LEAF).all())
        and _are_within(left, right, feature, inner=inner, limit=limit)
    )


def _is_sound_predictor(predictor: Any, width: int | None) -> bool:
    """Whether a TreePredictor of histogram gradient boosting stays within its arrays."""
    import numpy as np
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
    if nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        return False
    if bitsets.dtype != np.uint32 or bitsets.ndim != 2 or bitsets.shape[1] != 8 or width is None:
        return False
    inner = nodes["is_leaf"] == 0
    categorical = inner & (nodes["is_categorical"] != 0)
    return bool((nodes["bitset_idx"][categorical] < len(bitsets)).all()) and _are_within(
        nodes["left"], nodes["right"], nodes["feature_idx"], inner=inner, limit=width
    )


def _are_within(left: Any, right: Any, feature: Any, *, inner: Any, limit: int) -> bool:
    import numpy as np

    index = np.flatnonzero(inner)
    children = np.stack([left[index], right[index]]).astype(np.int64)
    features = feature[index].astype(np.int64)
    return bool(
        (children > index).all()
        and (children < len(left)).all()
        and (features >= 0).all()
        and (features < limit).all()
    )


def _find_trees(root: Any) -> Iterator[tuple[Any, int | None]]:
    """Every tree below `root`, with the number of features its estimators check rows for."""
    import numpy as np
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

    owners = (BaseForest, BaseGradientBoosting, BaseHistGradientBoosting, BaseDecisionTree)
    seen: set[int] = set()
    pending: list[tuple[Any, int | None]] = [(root, None)]
    while pending:
        item, width = pending.pop()
        if id(item) in seen or item is None or isinstance(item, (str, bytes, int, float, type)):
            continue
        seen.add(id(item))
        if isinstance(item, (Tree, TreePredictor)):
            yield item, width
        elif isinstance(item, dict):
            pending.extend((value, width) for value in item.values())
        elif isinstance(item, (list, tuple, set)):
            pending.extend((value, width) for value in item)
        elif isinstance(item, np.ndarray):
            if item.dtype == object:
                pending.extend((value, width) for value in item.ravel().tolist())
        elif hasattr(item, "__dict__"):
            if isinstance(item, owners):
                own = int(getattr(item, "n_features_in_", 0))
                width = own if width is None else min(width, own)
            elif hasattr(item, "predict") and not isinstance(item, TreePredictor):
                width = None  # an estimator of another kind hands on rows of another width
            pending.extend((value, width) for value in vars(item).values())

"""Estimators by import path, and their parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from sklearn.base import clone, is_classifier, is_regressor

from mlq.errors import StepError, nearest

_METHODS = ("fit", "predict", "get_params", "set_params")


def find_estimator(path: str) -> type[Any]:
    """The class at the import path `path`, such as `sklearn.svm.SVC`.

    Raises StepError (code `unknown_estimator`) where there is none, or it is not an estimator that
    scikit-learn's tools can work with.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise _unknown(f"'{path}' is no import path of an estimator", path)
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise _unknown(f"The estimator's module cannot be imported ({error})", path) from error
    found = getattr(module, name, None)
    if found is None:
        guess = nearest(name, [item for item in dir(module) if item[:1].isupper()])
        hint = f"Did you mean '{module_name}.{guess}'?" if guess else ""
        raise _unknown(f"The module '{module_name}' has no '{name}'", path, hint=hint)
    if not inspect.isclass(found):
        raise _unknown(f"'{path}' is not a class", path)
    missing = [method for method in _METHODS if not callable(getattr(found, method, None))]
    if missing:
        raise _unknown(
            f"'{path}' is no scikit-learn-compatible estimator: it has no {missing[0]}", path
        )
    return found


def _unknown(reason: str, path: str, *, hint: str | None = None) -> StepError:
    if not hint:
        guess = nearest_path(path)
        hint = (
            f"Did you mean '{guess}'?"
            if guess
            else ("Give an import path such as sklearn.linear_model.LogisticRegression.")
        )
    return StepError(f"{reason}.", code="unknown_estimator", hint=hint)


def nearest_path(path: str) -> str | None:
    """The public scikit-learn classifier or regressor whose name is closest to that of `path`."""
    known = dict(_public_paths())
    name = nearest(path.rpartition(".")[2], known)
    return known[name] if name else None


def _public_paths() -> Iterator[tuple[str, str]]:
    from sklearn.utils import all_estimators  # imports every module of scikit-learn

    for name, found in all_estimators(type_filter=["classifier", "regressor"]):
        public = [part for part in found.__module__.split(".") if not part.startswith("_")]
        yield name, ".".join([*public[:2], name])


def make_estimator(path: str, params: Mapping[str, Any], *, seed: int) -> Any:
    """An unfitted estimator of the class at `path` with `params` set.

    Every `random_state`, nested ones included, that was not given becomes `seed`.
    Raises StepError: `unknown_estimator`, or `unknown_parameter` naming the nearest one.
    """
    found = find_estimator(path)
    try:
        estimator = found()
    except TypeError:
        estimator = _construct(found, path, params)
    known = estimator.get_params(deep=True)
    takes_any = _takes_any(found)
    for name in params:
        if name not in known and not takes_any:
            guess = nearest(name, known)
            own = ", ".join(sorted(key for key in known if "__" not in key))
            raise StepError(
                f"{found.__name__} has no parameter '{name}'.",
                code="unknown_parameter",
                hint=f"Did you mean '{guess}'?" if guess else f"It has: {own}.",
            )
    seeds = {
        name: seed
        for name, value in known.items()
        if name.rpartition("__")[2] == "random_state" and value is None and name not in params
    }
    try:
        estimator.set_params(**seeds, **params)
    except (TypeError, ValueError, AttributeError) as error:
        raise _bad_parameters(found.__name__, error) from error
    if not (is_classifier(estimator) or is_regressor(estimator)):
        raise _unknown(f"'{path}' is neither a classifier nor a regressor", path)
    return estimator


class Maker:
    """Makes estimators of one class that differ in some parameters.

    Most classes only store what they are given: these are called with all parameters, which costs
    a hundredth of `clone` and `set_params` and comes to the same. The others are cloned.
    Raises StepError as `make_estimator` does.
    """

    def __init__(self, path: str, params: Mapping[str, Any], *, seed: int) -> None:
        self.path = path
        self.params = dict(params)
        self.seed = seed
        self.prototype = make_estimator(path, params, seed=seed)
        self._class: type[Any] = type(self.prototype)
        self._given = self.prototype.get_params(deep=False)
        # nested estimators have parameters of their own, and must not be shared
        self._is_plain = not _takes_any(self._class) and (
            self.prototype.get_params(deep=True).keys() == self._given.keys()
        )

    def bind(self, params: Mapping[str, Any]) -> Callable[[], Any]:
        """A function that makes an unfitted estimator with `params` over the fixed ones."""
        if self._is_plain and self._given.keys() >= params.keys():
            given = {**self._given, **params}
            return lambda: self._class(**given)
        return partial(clone, make_estimator(self.path, {**self.params, **params}, seed=self.seed))


def _takes_any(found: type[Any]) -> bool:
    """Whether the constructor takes parameters beyond those it names (LightGBM, XGBoost)."""
    parameters = inspect.signature(found.__init__).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _construct(found: type[Any], path: str, params: Mapping[str, Any]) -> Any:
    """An instance of a class that cannot be made without parameters."""
    try:
        return found(**params)
    except TypeError as error:
        raise _bad_parameters(path, error) from error


def _bad_parameters(name: str, error: Exception) -> StepError:
    return StepError(
        f"The parameters do not fit {name}: {error}.".replace("..", "."), code="invalid_parameter"
    )


def distribution_of(path: str) -> str | None:
    """The distribution an estimator comes from; None for scikit-learn's own and local code."""
    from importlib.metadata import packages_distributions

    root = path.partition(".")[0]
    if root == "sklearn":
        return None
    found = packages_distributions().get(root)
    return found[0] if found else None

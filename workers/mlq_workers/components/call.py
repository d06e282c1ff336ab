"""mlq:call: call a Python function; the numbers that it returns are the metrics."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from mlq.errors import StepError, nearest
from mlq_workers.components.base import Metric, Result, Step
from mlq_workers.components.trials import Metrics, Pruned, Report

_OWN = frozenset({"function", "metric"})
DEFAULT_METRIC = "value"


def run(step: Step) -> Result:
    """Call the function once. Numbers that are not finite are logged and left out."""
    calls = Calls(step.inputs, primary_metric=None)
    metrics = calls.run({}, lambda name, value, at: step.log_metric(Metric(name, value, at)))
    known = {name: value for name, value in metrics.items() if math.isfinite(value)}
    for name, value in metrics.items():
        if name in known:
            step.log_metric(Metric(name, value))
        else:
            step.log(f"{name} is {value} and left out.")
    return Result({"result": known})


def prepare(
    inputs: Mapping[str, Any],
    log: Callable[[str], None],
    *,
    primary_metric: str | None,
    swept: Collection[str],
    only_refit: bool,
) -> Calls:
    """The function of `inputs`, imported; one that differs from trial to trial comes later."""
    calls = Calls(inputs, primary_metric=primary_metric)
    if not only_refit and "function" not in swept:
        calls.target(inputs)
    return calls


class Target:
    """A user's function, and what it may be called with."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.call = find_function(path)
        self._signature = _read_signature(self.call)
        self.takes_report = self._signature is not None and "report" in self._signature.parameters
        self._fitting: set[frozenset[str]] = set()

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise StepError unless the function takes arguments of these names."""
        names = frozenset(arguments)
        if names in self._fitting or self._signature is None:
            return
        report = {"report": None} if self.takes_report else {}
        try:
            self._signature.bind(**arguments, **report)
        except TypeError as error:
            known = [name for name in self._signature.parameters if name != "report"]
            strange = [name for name in names if name not in known]
            guess = nearest(strange[0], known) if strange else None
            takes = ", ".join(known) or "no arguments"
            raise StepError(
                f"The function '{self.path}' cannot be called with these inputs: {error}.",
                code="invalid_argument",
                hint=f"Did you mean '{guess}'?" if guess else f"It takes: {takes}.",
            ) from error
        self._fitting.add(names)


class Calls:
    """A function and the arguments that are the same in all trials."""

    def __init__(self, inputs: Mapping[str, Any], *, primary_metric: str | None) -> None:
        self._own = {name: inputs[name] for name in _OWN if name in inputs}
        self._fixed = _arguments(inputs)
        self._mutable = [
            name for name, value in self._fixed.items() if isinstance(value, (dict, list))
        ]
        self._metric = primary_metric or DEFAULT_METRIC
        self._targets: dict[str, Target] = {}

    def run(
        self,
        params: Mapping[str, Any],
        report: Report | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Metrics:
        """Call the function with the fixed arguments and `params`. See `Trials.run`."""
        arguments = dict(self._fixed)
        for name in self._mutable:  # a function may change what it is given
            arguments[name] = deepcopy(arguments[name])
        arguments |= _arguments(params)
        own = self._own
        if not _OWN.isdisjoint(params):
            own = {**own, **{name: params[name] for name in _OWN if name in params}}
        target = self.target(own)
        target.check(arguments)
        if target.takes_report:
            arguments["report"] = _reporter(report, should_stop)
        try:
            returned = target.call(**arguments)
        except SystemExit as error:
            if type(error) is not SystemExit:
                raise  # Celery's own, where a worker has no processes
            raise StepError(
                f"The function '{target.path}' called sys.exit({error.code!r}).",
                code="exit",
                hint="Return a number, or raise an exception that says what is wrong.",
            ) from error
        return _read_metrics(returned, target.path, own.get("metric") or self._metric)

    def refit(
        self, params: Mapping[str, Any], scratch: Path, *, metrics: Mapping[str, float]
    ) -> dict[str, Any]:
        """The numbers of the best call; nothing is called again."""
        return {"result": dict(metrics)}

    def target(self, own: Mapping[str, Any]) -> Target:
        """The function that `own` names, imported once."""
        path = own.get("function")
        if not isinstance(path, str):
            raise StepError("mlq:call needs the input 'function'.", code="missing_input")
        found = self._targets.get(path)
        if found is None:
            found = self._targets[path] = Target(path)
        return found


def find_function(path: str) -> Callable[..., Any]:
    """The function at `path`, `package.module:function` or `package.module.function`.

    Raises StepError (code `unknown_function`) where there is none.
    """
    module_name, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    names = name.split(".")
    if not all(part.isidentifier() for part in [*module_name.split("."), *names]):
        raise _unknown(
            f"'{path}' is no import path of a function",
            hint="Write it as package.module:function.",
        )
    try:
        module = import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's module may fail with anything
        raise _unknown(
            f"The module '{module_name}' cannot be imported ({type(error).__name__}: {error})",
            hint="It must be installed, or on the PYTHONPATH, where the worker runs.",
        ) from error
    try:
        found = reduce(getattr, names, module)
    except AttributeError as error:
        guess = nearest(names[0], vars(module))
        raise _unknown(
            f"The module '{module_name}' has no '{name}'",
            hint=f"Did you mean '{module_name}:{guess}'?" if guess else "",
        ) from error
    if not callable(found):
        raise _unknown(f"'{path}' is of type {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


def _read_signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        return None


def _unknown(reason: str, *, hint: str = "") -> StepError:
    return StepError(f"{reason}.", code="unknown_function", hint=hint)


def _arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix("params."): value for name, value in inputs.items() if name not in _OWN
    }


def _reporter(report: Report | None, should_stop: Callable[[], bool] | None) -> Report:
    def say(name: str, value: float, step: int) -> None:
        if report is not None:
            report(name, float(value), int(step))
        if should_stop is not None and should_stop():
            raise Pruned

    return say


def _read_metrics(returned: Any, path: str, metric: str) -> Metrics:
    if type(returned) is float:
        return {metric: returned}
    if isinstance(returned, Mapping) and returned:
        return {
            str(name): _read_number(value, f"for '{name}' ", path)
            for name, value in returned.items()
        }
    return {metric: _read_number(returned, "", path)}


def _read_number(value: Any, what: str, path: str) -> float:
    # arrays of one element and tensors are numbers too
    if not isinstance(value, (str, bytes)) and hasattr(value, "__float__"):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    raise StepError(
        f"The function '{path}' returned {what}a value of type {type(value).__name__}, not a "
        "number.",
        code="no_number",
        hint="Return a number, or a mapping of metric names to numbers.",
    )

"""`@mlq.component`: a typed function that is a step in pipelines, and a function elsewhere."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, overload

from mlq.errors import MlqError
from mlq.sdk import tracing
from mlq.sdk.values import Kind, kind_of

P = ParamSpec("P")
R = TypeVar("R")

SINGLE_OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a step of a component carries besides its function, as in a job file.

    timeout: seconds, of one attempt. retries: further attempts after a failed one.
    is_deterministic: whether outputs may be reused. requirements: Python packages of the step's
    environment, on a worker; none: the worker's own.
    """

    compute: str | None = None
    timeout: float | None = None
    retries: int | None = None
    is_deterministic: bool = False
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()


class Component(Generic[P, R]):
    """A function with typed inputs and outputs.

    Called outside a pipeline it just runs. Inside one, a call adds a step and returns what stands
    for its output, or a NamedTuple of such where the function returns one.
    """

    def __init__(self, function: Callable[P, R], options: Options) -> None:
        self.function = function
        self.options = options
        self.name = function.__name__
        self.signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
        self.inputs = {name: self._read(name, hints) for name in self.signature.parameters}
        returned = hints.get("return", None)
        self.tuple_type = returned if hasattr(returned, "_fields") else None
        self.outputs = self._outputs(returned)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        trace = tracing.current()
        if trace is None:
            return self.function(*args, **kwargs)
        return typing.cast(R, trace.add(self, self.bind(*args, **kwargs)))

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Arguments by name, defaults filled in. Raises TypeError as the function would."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def named(self, returned: Any) -> dict[str, Any]:
        """What the function returned, by output."""
        if self.tuple_type is not None:
            return dict(zip(self.outputs, returned, strict=True))
        return dict.fromkeys(self.outputs, returned)

    def _read(self, name: str, hints: Mapping[str, Any]) -> Kind:
        parameter = self.signature.parameters[name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise MlqError(
                f"The component '{self.name}' takes *{name}, which is no input.",
                code="bad_component",
                hint="Give every input a name of its own.",
            )
        return self._kind(name, hints.get(name, inspect.Parameter.empty))

    def _outputs(self, returned: Any) -> dict[str, Kind]:
        if self.tuple_type is not None:
            hints = typing.get_type_hints(self.tuple_type)
            return {name: self._kind(name, hints[name]) for name in self.tuple_type._fields}
        if returned in (None, type(None)):
            return {}
        return {SINGLE_OUTPUT: self._kind("return", returned)}

    def _kind(self, name: str, annotation: Any) -> Kind:
        kind = kind_of(annotation) if annotation is not inspect.Parameter.empty else None
        if kind is None:
            what = "the result" if name == "return" else f"'{name}'"
            raise MlqError(
                f"The component '{self.name}' does not say what {what} is.",
                code="bad_component",
                hint="Annotate it: int, float, bool, str, dict, list, pandas.DataFrame, "
                "numpy.ndarray, an estimator's class, or pathlib.Path.",
            )
        return kind


@overload
def component(function: Callable[P, R], /) -> Component[P, R]: ...


@overload
def component(
    *,
    compute: str | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    is_deterministic: bool = False,
    environment_variables: Mapping[str, str] | None = None,
    requirements: Sequence[str] = (),
) -> Callable[[Callable[P, R]], Component[P, R]]: ...


def component(
    function: Callable[..., Any] | None = None,
    /,
    *,
    compute: str | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    is_deterministic: bool = False,
    environment_variables: Mapping[str, str] | None = None,
    requirements: Sequence[str] = (),
) -> Any:
    """Make a typed function a component; see Options for what a step of it carries.

    Raises MlqError where an annotation is missing or stands for nothing that can be kept.
    """
    options = Options(
        compute=compute,
        timeout=timeout,
        retries=retries,
        is_deterministic=is_deterministic,
        environment_variables=dict(environment_variables or {}),
        requirements=tuple(requirements),
    )
    if function is not None:
        return Component(function, options)
    return lambda found: Component(found, options)

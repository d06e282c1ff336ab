"""What a pipeline's function does, written down: its steps, and what flows between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mlq.errors import MlqError
from mlq.sdk.values import Kind

if TYPE_CHECKING:
    from mlq.sdk.components import Component


class Reference:
    """Stands for an output of a step, which has no value before the step has run."""

    def __init__(self, step: str, output: str, kind: Kind) -> None:
        self.step = step
        self.output = output
        self.kind = kind

    def __repr__(self) -> str:
        return f"<output '{self.output}' of step '{self.step}'>"

    def _refuse(self, *args: Any) -> NoReturn:
        raise MlqError(
            f"The output '{self.output}' of step '{self.step}' has no value yet: a pipeline's "
            "function says what flows where, and runs before its steps.",
            code="no_value_yet",
            hint="Pass it to a component, and look at it there.",
        )

    __bool__ = __iter__ = __len__ = __getitem__ = __float__ = __int__ = _refuse
    __add__ = __sub__ = __mul__ = __truediv__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a component. arguments: name -> Reference or value."""

    name: str
    component: Component[..., Any]
    arguments: Mapping[str, Any]


@dataclass(slots=True)
class Trace:
    """The calls of one pipeline, in order; each comes after those whose outputs it takes."""

    steps: list[Step] = field(default_factory=list)

    def add(self, component: Component[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Note a call; what stands for its result.

        Raises MlqError for an argument that cannot be what its input is.
        """
        taken = {step.name for step in self.steps}
        name, number = component.name, 2
        while name in taken:
            name, number = f"{component.name}_{number}", number + 1
        for key, value in arguments.items():
            _check(name, key, value, component.inputs[key])
        self.steps.append(Step(name, component, dict(arguments)))
        made = {key: Reference(name, key, kind) for key, kind in component.outputs.items()}
        if component.tuple_type is not None:
            return component.tuple_type(**made)
        return next(iter(made.values()), None)


_current: ContextVar[Trace | None] = ContextVar("mlq_trace", default=None)


def current() -> Trace | None:
    """The trace of the pipeline whose function runs now; None outside of one."""
    return _current.get()


@contextmanager
def tracing() -> Iterator[Trace]:
    """Calls of components inside are noted and not run."""
    trace = Trace()
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


def _check(step: str, key: str, value: Any, kind: Kind) -> None:
    if isinstance(value, Reference):
        fits = value.kind is kind or (value.kind.is_json and kind.is_json)
        if not fits and kind is not Kind.PATH:
            raise _wrong(step, key, f"takes {kind.value}, and {value!r} is {value.kind.value}")
        return
    accepted: Mapping[Kind, tuple[type, ...]] = {
        Kind.STRING: (str,),
        Kind.NUMBER: (int, float),
        Kind.INTEGER: (int,),
        Kind.BOOLEAN: (bool,),
        Kind.PATH: (str, Path),
    }
    types = accepted.get(kind)
    is_wrong = types is not None and not isinstance(value, types)
    if kind in (Kind.NUMBER, Kind.INTEGER) and isinstance(value, bool):
        is_wrong = True
    if is_wrong and value is not None:
        raise _wrong(step, key, f"takes {kind.value}; got {value!r:.80}")


def _wrong(step: str, key: str, message: str) -> MlqError:
    return MlqError(f"Step '{step}': the input '{key}' {message}.", code="bad_argument")

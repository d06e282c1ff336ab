"""`@mlq.pipeline`: a function that calls components, and the job that it describes."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, overload

from mlq.errors import MlqError
from mlq.sdk.tracing import Reference, Step, current, tracing

if TYPE_CHECKING:
    from mlq.client import Client
    from mlq.sdk.local import LocalRun
    from mlq.sdk.submission import Submitted

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class PipelineJob:
    """A pipeline with its arguments, ready to run. outputs: name -> the step's output it is."""

    name: str
    steps: tuple[Step, ...]
    outputs: Mapping[str, Reference]
    experiment: str | None = None
    source: Path | None = None

    def submit(self, client: Client | None = None) -> Submitted:
        """Send it to a server: that of `client`, or the one that the settings name.

        Raises SpecError where the server finds something wrong, UnavailableError without a server.
        """
        from mlq.sdk.submission import submit

        return submit(self, client)

    def run_locally(self, folder: Path | None = None) -> LocalRun:
        """Run every step in this process, one after the other, without any server.

        folder: where outputs are kept, a temporary one when left out. What a step raises comes out
        of here, with a note that names the step.
        """
        from mlq.sdk.local import run_locally

        return run_locally(self, folder)


class Pipeline(Generic[P]):
    """A function whose calls of components are steps.

    Calling it describes a job and runs nothing; in another pipeline its steps become that one's.
    """

    def __init__(self, function: Callable[P, Any], *, experiment: str | None) -> None:
        self.function = function
        self.name = function.__name__
        self.experiment = experiment
        self.signature = inspect.signature(function)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> PipelineJob:
        if current() is not None:
            return typing.cast(PipelineJob, self.function(*args, **kwargs))
        with tracing() as trace:
            returned = self.function(*args, **kwargs)
        if not trace.steps:
            raise MlqError(
                f"The pipeline '{self.name}' has no steps.",
                code="empty_pipeline",
                hint="Call functions that are decorated with @mlq.component in it.",
            )
        return PipelineJob(
            self.name,
            tuple(trace.steps),
            _outputs(self.name, returned),
            self.experiment,
            Path(inspect.getfile(self.function)).resolve(),
        )


def _outputs(name: str, returned: Any) -> dict[str, Reference]:
    if returned is None:
        return {}
    if isinstance(returned, Reference):
        return {returned.output: returned}
    if hasattr(returned, "_asdict"):
        returned = returned._asdict()
    if isinstance(returned, Mapping) and all(isinstance(v, Reference) for v in returned.values()):
        return dict(returned)
    raise MlqError(
        f"The pipeline '{name}' returns {returned!r:.80}.",
        code="bad_pipeline",
        hint="Return a component's output, a mapping of names to outputs, or nothing.",
    )


@overload
def pipeline(function: Callable[P, Any], /) -> Pipeline[P]: ...


@overload
def pipeline(*, experiment: str | None = None) -> Callable[[Callable[P, Any]], Pipeline[P]]: ...


def pipeline(
    function: Callable[..., Any] | None = None, /, *, experiment: str | None = None
) -> Any:
    """Make a function that calls components a pipeline. experiment: label that groups its jobs."""
    if function is not None:
        return Pipeline(function, experiment=experiment)
    return lambda found: Pipeline(found, experiment=experiment)

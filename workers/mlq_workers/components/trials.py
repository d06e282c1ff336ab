"""Many runs of one component with different parameters: what a sweep does in a worker process.

A component that can share work between such runs has a function `prepare`. What it gives back lives
as long as a sweep's time slice; what is dear to load is kept by the process beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

#: (name, value, step): a value on the way to the final one.
Report = Callable[[str, float, int], None]
Metrics = dict[str, float]

_PREPARED = {"mlq:train": "train", "mlq:call": "call"}


class Pruned(Exception):
    """The trial was told to stop before its end."""


class Trials(Protocol):
    """A component with its fixed inputs, ready for trials one after the other."""

    def run(
        self,
        params: Mapping[str, Any],
        report: Report | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Metrics:
        """Run a trial and return its final metrics; one that is undefined is NaN.

        params: inputs of the component that differ from trial to trial, over the fixed ones;
            artifact inputs as a Path.
        report: called with intermediate values as they come up.
        should_stop: asked after an intermediate value; True ends the trial with Pruned.
        Raises StepError where the parameters or the data are at fault; other exceptions are those
        of the estimator or of the user's function.
        """

    def refit(
        self, params: Mapping[str, Any], scratch: Path, *, metrics: Mapping[str, float]
    ) -> dict[str, Any]:
        """The component's outputs for the best trial: its port -> a Path below `scratch`, or JSON.

        metrics: what `run` returned for these parameters.
        """


def prepare_trials(
    component: str,
    inputs: Mapping[str, Any],
    log: Callable[[str], None] = lambda line: None,
    *,
    primary_metric: str | None = None,
    swept: Collection[str] = (),
    only_refit: bool = False,
) -> Trials | None:
    """Get `component` ready for trials; None where each trial has to be a step of its own.

    inputs: the fixed inputs, resolved as in Step.inputs.
    swept: names of the parameters that trials may bring; such an input may lack above.
    primary_metric: the objective's; it is measured in any case and reported as trials go on.
    only_refit: no trial will run, so that nothing is made ready for one.
    Raises StepError where no trial could run with these inputs.
    """
    module = _PREPARED.get(component)
    if module is None:
        return None
    prepared: Trials = import_module(f"mlq_workers.components.{module}").prepare(
        inputs, log, primary_metric=primary_metric, swept=swept, only_refit=only_refit
    )
    return prepared

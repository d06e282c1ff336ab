"""What a built-in component gets and gives back.

A component is a function `run(step: Step) -> Result`. It reads `step.inputs`, writes files below
`step.scratch` and touches neither database nor broker: what must change there (a new model version,
a moved alias) is returned as an effect and committed with the job's outcome, so that a job that is
delivered twice has its effect once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlq.spec.rollout import Policy

if TYPE_CHECKING:
    from mlq.client import Client


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a metric. step: 0 for a final value, else fold or iteration."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True, slots=True)
class RegisterModel:
    """Effect: make the next version of `name` from the job's input `model`."""

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeployModel:
    """Effect: move `alias` to `model` (models:/NAME/VERSION) and deploy it behind `endpoint`.

    policy: by these stages; None: at once.
    """

    model: str
    endpoint: str
    alias: str
    policy: Policy | None = None


Effect = RegisterModel | DeployModel


@dataclass(frozen=True, slots=True)
class Result:
    """What a component produced.

    outputs: a Path (file or folder below scratch) for artifact ports, a JSON value for literals.
    effect: its outputs (`version`, `endpoint`) are added when it commits.
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    effect: Effect | None = None


@dataclass(slots=True)
class Step:
    """One attempt of a leaf, as its component sees it.

    inputs: name -> Path for artifact inputs (a file or folder, read-only), the JSON value for
        literals; optional inputs that were not given are absent, defaults are filled in.
    sources: name -> where an artifact came from, such as `models:/churn/3` or a digest.
    scratch: an empty folder of this attempt alone.
    log_metric, log: called as work goes on; a metric may be reported many times by step.
    open_api: a client of the API with the attempt's own token, good for asking endpoints of its
        project; None where the worker does not know the API's address.
    Raises mlq.errors.StepError for bad input and mlq.errors.RejectedError when a gate says no.
    """

    inputs: Mapping[str, Any]
    scratch: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    log_metric: Callable[[Metric], None] = lambda metric: None
    log: Callable[[str], None] = lambda line: None
    open_api: Callable[[], Client] | None = None


Run = Callable[[Step], Result]

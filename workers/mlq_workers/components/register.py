"""mlq:register: make a model the next version of a registered model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlq.errors import StepError
from mlq.models.package import read_mlmodel
from mlq.spec.builtin import NAME
from mlq_workers.components.base import RegisterModel, Result, Step


def run(step: Step) -> Result:
    """Return the effect that registers the input `model` under `name`.

    The version's metrics are the report's; without a report they are the cross-validated ones that
    mlq:train stored in the package.
    """
    name = step.inputs["name"]
    check_name(name, what="model")
    stored = (read_mlmodel(step.inputs["model"]).get("metadata") or {}).get("mlq") or {}
    report = _read_report(step.inputs["report"]) if "report" in step.inputs else {}
    metrics = report.get("metrics") or stored.get("metrics") or {}
    shown = ", ".join(f"{key} {value:.4g}" for key, value in list(metrics.items())[:3])
    step.log(f"Registering {name}" + (f" with {shown}." if shown else "."))
    return Result(
        effect=RegisterModel(
            name=name,
            metrics={key: float(value) for key, value in metrics.items()},
            description=step.inputs.get("description") or "",
            report=report,
        )
    )


def check_name(name: str, *, what: str) -> None:
    """Raise StepError unless `name` can name a model, an endpoint or an alias."""
    if not NAME.fullmatch(name):
        raise StepError(
            f"'{name}' cannot be the name of a {what}.",
            code="invalid_name",
            hint="Use letters, digits, '.', '_' and '-', beginning with a letter or digit.",
        )


def _read_report(path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _invalid_report(str(error)) from error
    if not isinstance(report, dict) or not isinstance(report.get("metrics"), dict):
        raise _invalid_report("it has no metrics")
    return report


def _invalid_report(reason: str) -> StepError:
    return StepError(
        f"The input 'report' is no report of mlq:evaluate: {reason}.",
        code="invalid_report",
        hint="Bind it to the output `report` of an mlq:evaluate step.",
    )

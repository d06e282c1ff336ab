"""mlq:deploy: put a model version behind an endpoint by moving an alias to it."""

from __future__ import annotations

import re

from mlq.errors import StepError
from mlq.spec.rollout import read_policy
from mlq_workers.components.arguments import read_mapping
from mlq_workers.components.base import DeployModel, Result, Step
from mlq_workers.components.register import check_name

_VERSION = re.compile(r"models:/([A-Za-z0-9][A-Za-z0-9._-]*)/([1-9]\d*)")


def run(step: Step) -> Result:
    """Return the effect that moves `alias` to `model` and deploys it behind `endpoint`."""
    model, endpoint, alias = (step.inputs[name] for name in ("model", "endpoint", "alias"))
    if not _VERSION.fullmatch(model):
        raise StepError(
            f"'{model}' does not name a model version.",
            code="invalid_model_reference",
            hint="Write models:/NAME/VERSION, or bind it to the output `version` of mlq:register.",
        )
    check_name(endpoint, what="endpoint")
    check_name(alias, what="alias")
    if alias.isdigit():
        raise StepError(
            f"The alias '{alias}' would read like a version number.",
            code="invalid_name",
            hint="Give the alias a word, such as staging or production.",
        )
    written = read_mapping(step.inputs, "policy")
    policy = read_policy(written) if written else None
    step.log(f"Deploying {model} behind {endpoint} as {alias}{', by stages' if policy else ''}.")
    return Result(effect=DeployModel(model=model, endpoint=endpoint, alias=alias, policy=policy))

"""POST /endpoints/{name}/score: rows in, predictions out."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlq.db.routing import Target
from mlq.errors import UnavailableError
from mlq.models.package import LoadedModel
from mlq_api.serving import rows
from mlq_api.serving.answers import (
    REQUEST_HEADER,
    Answered,
    answer,
    measure,
    read_request_id,
)
from mlq_api.serving.front import Call, Said
from mlq_api.serving.json_bodies import dump_fast, parse_object
from mlq_api.serving.predictions import Answer
from mlq_api.serving.rows import Table
from mlq_api.serving.server import Serving

#: Both choose a deployment; the second is Azure's name.
HEADERS = ("mlq-deployment", "azureml-model-deployment")
#: Requests of one session get the same deployment while the traffic stays as it is.
SESSION_HEADER = "mlq-session"


async def score(serving: Serving, call: Call) -> Said:
    """Predict with the deployment that the header names, else with one drawn by traffic.

    A request that names none is also sent to the deployments that get copies; what those answer is
    thrown away.
    """
    name, headers = call.path[1], call.headers
    serving.require(call.principal, "endpoint", name)
    asked = next((headers[name] for name in HEADERS if name in headers), None)
    deployment, target = await serving.choose(name, asked, session=headers.get(SESSION_HEADER))
    request_id = read_request_id(headers)
    if asked is None:
        for copy, other in serving.draw_mirrors(name):
            key = (name, copy, other.version, True)
            work = _answer(serving, call.body, name, copy, other)
            serving.start_beside(measure(serving, key, request_id=request_id, work=work))
    key = (name, deployment, target.version, False)
    work = _answer(serving, call.body, name, deployment, target)
    said = await measure(serving, key, request_id=request_id, work=work)
    said.headers = {
        "mlq-deployment": deployment,
        "mlq-model": target.uri,
        REQUEST_HEADER: request_id,
    }
    return said


async def _answer(
    serving: Serving, body: bytes, endpoint: str, deployment: str, target: Target
) -> Answered:
    """The answer of one deployment, within the time that its settings give it."""
    timeout_ms = serving.settings_of(endpoint, deployment).get("request_timeout_ms")
    if timeout_ms is None:
        return await _answer_at_leisure(serving, body, deployment, target)
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await _answer_at_leisure(serving, body, deployment, target)
    except TimeoutError:
        raise UnavailableError(
            f"Deployment '{deployment}' of endpoint '{endpoint}' gave no answer within "
            f"{timeout_ms} ms.",
            code="timeout",
            hint="Its setting request_timeout_ms says how long it may take.",
        ) from None


async def _answer_at_leisure(
    serving: Serving, body: bytes, deployment: str, target: Target
) -> Answered:
    model = await serving.load(target)
    read = partial(read_score, body, model=model, target=target, deployment=deployment)
    return await answer(serving, model, size=len(body), read=read)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a scoring request wants to know. warnings: of columns that were left out."""

    table: Table
    with_probabilities: bool
    warnings: list[str]
    model: LoadedModel
    target: Target
    deployment: str

    def write(self, answer: Answer) -> Said:
        """The answer as JSON."""
        predictions, probabilities = answer
        document: dict[str, Any] = {"predictions": predictions.tolist()}
        if probabilities is not None:
            labels = [label_key(label) for label in self.model.classes]
            document["probabilities"] = [
                dict(zip(labels, shares, strict=True)) for shares in probabilities.tolist()
            ]
        document |= {"model": self.target.uri, "deployment": self.deployment}
        if self.warnings:
            document["warnings"] = self.warnings
        return Said(dump_fast(document))


def read_score(body: bytes, *, model: LoadedModel, target: Target, deployment: str) -> Scored:
    """A scoring request. Raises RowsError."""
    request = parse_object(body)
    params = request.get("params") or {}
    if not isinstance(params, dict) or not isinstance(params.get("probabilities", False), bool):
        raise rows.refuse("params", 'expected {"probabilities": true} or nothing')
    table, warnings = _table(model, request)
    with_probabilities = params.get("probabilities", False)
    return Scored(table, with_probabilities, warnings, model, target, deployment)


def label_key(label: Any) -> str:
    """A class label as a key of a JSON object: text as it is, 1 as `1`, True as `true`."""
    return label if isinstance(label, str) else json.dumps(label, default=str)


def _table(model: LoadedModel, request: dict[str, Any]) -> tuple[Table, list[str]]:
    given = [key for key in ("rows", "input_data") if key in request]
    if len(given) != 1:
        raise rows.refuse(
            "rows",
            'expected either {"rows": [{"column": value}]} or '
            '{"input_data": {"columns": […], "index": […], "data": [[…]]}}',
        )
    if given == ["rows"]:
        return rows.from_rows(model.signature, request["rows"])
    table = request["input_data"]
    if not isinstance(table, dict):
        raise rows.refuse("input_data", "expected an object with columns, index and data")
    return rows.from_table(
        model.signature, table.get("columns"), table.get("data"), index=table.get("index")
    )

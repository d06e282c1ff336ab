"""POST /endpoints/{name}/score: rows in, predictions out."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from mlq.db.routing import Target
from mlq.errors import SpecError, TooLargeError, UnavailableError
from mlq.ids import new_id
from mlq.models.package import LoadedModel
from mlq.service.monitoring import is_request_id
from mlq_api.serving import rows
from mlq_api.serving.json_bodies import SMALL_BODY, dump_fast, parse_object
from mlq_api.serving.predictions import Answer, predict
from mlq_api.serving.rows import Table
from mlq_api.serving.samples import Source
from mlq_api.serving.server import Serving, serving_of

if TYPE_CHECKING:
    import numpy as np

#: Both choose a deployment; the second is Azure's name.
HEADERS = ("mlq-deployment", "azureml-model-deployment")
#: Requests of one session get the same deployment while the traffic stays as it is.
SESSION_HEADER = "mlq-session"
#: Names a request, in the answer too; the truth about it is told by this name.
REQUEST_HEADER = "x-request-id"


async def score(request: Request) -> Response:
    """Predict with the deployment that the header names, else with one drawn by traffic.

    A request that names none is also sent to the deployments that get copies; what those answer is
    thrown away.
    """
    body = await request.body()
    serving = serving_of(request)
    name = request.path_params["name"]
    serving.require(request, "endpoint", name)
    asked = next((request.headers[name] for name in HEADERS if name in request.headers), None)
    session = request.headers.get(SESSION_HEADER)
    deployment, target = await serving.choose(name, asked, session=session)
    request_id = request.headers.get(REQUEST_HEADER, "")
    if not is_request_id(request_id):
        request_id = new_id()
    if asked is None:
        for copy, other in serving.draw_mirrors(name):
            work = _measure(serving, body, request_id, name, copy, other, is_copy=True)
            serving.start_beside(work)
    answer = await _measure(serving, body, request_id, name, deployment, target)
    headers = {
        "mlq-deployment": deployment,
        "mlq-model": target.uri,
        REQUEST_HEADER: request_id,
    }
    return Response(answer, media_type="application/json", headers=headers)


async def _measure(
    serving: Serving,
    body: bytes,
    request_id: str,
    endpoint: str,
    deployment: str,
    target: Target,
    *,
    is_copy: bool = False,
) -> bytes:
    """The answer of one deployment, counted: an error is its own unless rows or load are at fault.

    That it refuses rows which fit its signature is its own, too.
    """
    began = time.perf_counter()
    rows_answered, is_error = 0, True
    try:
        said = await _predict(serving, body, endpoint, deployment, target)
        rows_answered, is_error = said.table.count, False
        if serving.draw_sample(endpoint, deployment):
            source = Source(endpoint, deployment, target.version, is_copy, said.task)
            serving.samples.add(request_id, source, said.table, said.predictions)
        return said.body
    except (SpecError, TooLargeError, asyncio.CancelledError):
        is_error = False
        raise
    except UnavailableError as error:
        is_error = error.code != "overloaded"
        raise
    finally:
        serving.meters.record(
            (endpoint, deployment, target.version, is_copy),
            seconds=time.perf_counter() - began,
            rows=rows_answered,
            is_error=is_error,
        )


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as JSON, the rows that were asked, and the predictions, shape (rows,)."""

    body: bytes
    table: Table
    predictions: np.ndarray
    task: str


async def _predict(
    serving: Serving, body: bytes, endpoint: str, deployment: str, target: Target
) -> Said:
    """The answer of one deployment, within the time that its settings give it."""
    timeout_ms = serving.settings_of(endpoint, deployment).get("request_timeout_ms")
    try:
        async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
            model = await serving.load(target)
            if len(body) > SMALL_BODY:
                return await serving.compute(
                    answer_score, body, model=model, target=target, deployment=deployment
                )
            asked = read_score(body, model)
            answer = await serving.predictions.predict(
                model, asked.table, with_probabilities=asked.with_probabilities
            )
            written = write_score(asked, answer, model=model, target=target, deployment=deployment)
            return Said(written, asked.table, answer[0], model.task)
    except TimeoutError:
        raise UnavailableError(
            f"Deployment '{deployment}' of endpoint '{endpoint}' gave no answer within "
            f"{timeout_ms} ms.",
            code="timeout",
            hint="Its setting request_timeout_ms says how long it may take.",
        ) from None


def answer_score(body: bytes, *, model: LoadedModel, target: Target, deployment: str) -> Said:
    """The answer to a scoring request. Raises RowsError; StepError by the model."""
    asked = read_score(body, model)
    answer = predict(model, asked.table, with_probabilities=asked.with_probabilities)
    written = write_score(asked, answer, model=model, target=target, deployment=deployment)
    return Said(written, asked.table, answer[0], model.task)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a scoring request wants to know. warnings: of columns that were left out."""

    table: Table
    warnings: list[str]
    with_probabilities: bool


def read_score(body: bytes, model: LoadedModel) -> Asked:
    """A scoring request. Raises RowsError."""
    request = parse_object(body)
    params = request.get("params") or {}
    if not isinstance(params, dict) or not isinstance(params.get("probabilities", False), bool):
        raise rows.refuse("params", 'expected {"probabilities": true} or nothing')
    table, warnings = _table(model, request)
    return Asked(table, warnings, params.get("probabilities", False))


def write_score(
    asked: Asked, answer: Answer, *, model: LoadedModel, target: Target, deployment: str
) -> bytes:
    """The answer to a scoring request as JSON."""
    predictions, probabilities = answer
    document: dict[str, Any] = {"predictions": predictions.tolist()}
    if probabilities is not None:
        labels = [label_key(label) for label in model.classes]
        document["probabilities"] = [
            dict(zip(labels, shares, strict=True)) for shares in probabilities.tolist()
        ]
    document |= {"model": target.uri, "deployment": deployment}
    if asked.warnings:
        document["warnings"] = asked.warnings
    return dump_fast(document)


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

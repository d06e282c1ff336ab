"""The Open Inference Protocol, version 2, over HTTP: health, metadata, inference.

A version in a path is a number or an alias; without one it is the alias `production`, else the
newest version. For errors see `refusals`.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mlq import __version__
from mlq.db.routing import Target
from mlq.models.package import LoadedModel
from mlq_api.serving import binary, rows, tensors
from mlq_api.serving.json_bodies import dump_fast, parse_object
from mlq_api.serving.predictions import predict
from mlq_api.serving.server import Serving, serving_of
from mlq_api.wire import json_response

SERVER_NAME = "mlq"
PLATFORM = "mlflow_sklearn"
EXTENSIONS = ["binary_tensor_data"]


async def server_metadata(request: Request) -> Response:
    """GET /v2"""
    return json_response({"name": SERVER_NAME, "version": __version__, "extensions": EXTENSIONS})


async def server_live(request: Request) -> Response:
    """GET /v2/health/live"""
    return json_response({"live": True})


async def server_ready(request: Request) -> Response:
    """GET /v2/health/ready: whether what the endpoints need has been looked at once.

    A model that cannot be loaded does not make the others unready. Who sends a token is told of it.
    """
    watcher = serving_of(request).watcher
    answer: dict[str, Any] = {"live": True, "ready": watcher.is_ready}
    principal = request.scope.get("principal")
    if principal is not None and principal.project is None:  # it names models of all projects
        answer["database"] = "away" if watcher.is_away else "ok"
        answer["problems"] = [
            {"model": model, "message": message} for model, message in watcher.problems.items()
        ]
    return json_response(answer, status=200 if watcher.is_ready else 503)


async def model_metadata(request: Request) -> Response:
    """GET /v2/models/{model}[/versions/{version}]"""
    serving, target = await _find(request)
    model = await serving.load(target)
    versions = await serving.list_versions(target.name)
    return json_response(
        {
            "name": target.name,
            "versions": [str(version) for version in versions],
            "platform": PLATFORM,
            "inputs": tensors.describe_inputs(model.signature),
            "outputs": tensors.describe_outputs(model),
        }
    )


async def model_ready(request: Request) -> Response:
    """GET /v2/models/{model}[/versions/{version}]/ready: reads the model where it is not yet."""
    serving, target = await _find(request)
    await serving.load(target)
    return json_response({"name": target.name, "ready": True})


async def infer(request: Request) -> Response:
    """POST /v2/models/{model}[/versions/{version}]/infer"""
    body, raw = await request.body(), b""
    if (length := request.headers.get(binary.LENGTH_HEADER)) is not None:
        body, raw = binary.split_body(body, length)
    serving, target = await _find(request)
    model = await serving.load(target)
    answer, tail = await serving.compute(answer_infer, body, raw, model=model, target=target)
    if not tail:
        return Response(answer, media_type="application/json")
    return Response(
        answer + tail,
        media_type="application/octet-stream",
        headers={binary.LENGTH_HEADER: str(len(answer))},
    )


def answer_infer(
    body: bytes, raw: bytes = b"", *, model: LoadedModel, target: Target
) -> tuple[bytes, bytes]:
    """The answer to an inference request: JSON, and the bytes of the tensors that go as such.

    raw: what stands behind the request's JSON. Raises RowsError; StepError by the model.
    """
    request = parse_object(body)
    if not isinstance(request.get("id", ""), str):
        raise rows.refuse("id", "expected text")
    names = _wanted_outputs(request)
    binary.fill_inputs(request.get("inputs"), raw)
    columns = tensors.read_inputs(request.get("inputs"), model.signature)
    table, warnings = rows.from_columns(model.signature, columns, path="inputs")
    predictions, probabilities = predict(
        model, table, with_probabilities=tensors.PREDICT_PROBA in names
    )
    outputs, tails = [], []
    for name in names:
        if name == tensors.PREDICT or probabilities is None:
            output = tensors.write_predictions(model, predictions)
        else:
            output = tensors.write_probabilities(model, probabilities)
        if binary.wants_binary(request, name):
            tails.append(binary.take_data(output))
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": target.name, "model_version": str(target.version)}
    if "id" in request:
        answer["id"] = request["id"]
    if warnings:
        answer["parameters"] = {"warnings": "; ".join(warnings)}
    answer["outputs"] = outputs
    return dump_fast(answer), b"".join(tails)


def _wanted_outputs(request: dict[str, Any]) -> list[str]:
    wanted = request.get("outputs")
    if wanted is None:
        parameters = request.get("parameters")
        is_asked = isinstance(parameters, dict) and parameters.get("probabilities") is True
        return [tensors.PREDICT, *([tensors.PREDICT_PROBA] if is_asked else [])]
    known = (tensors.PREDICT, tensors.PREDICT_PROBA)
    if not isinstance(wanted, list):
        raise rows.refuse("outputs", "expected a list")
    names = []
    for place, output in enumerate(wanted):
        name = output.get("name") if isinstance(output, dict) else None
        if name not in known:
            raise rows.refuse(f"outputs[{place}].name", f"expected {' or '.join(known)}")
        names.append(str(name))
    return names or [tensors.PREDICT]


async def _find(request: Request) -> tuple[Serving, Target]:
    serving = serving_of(request)
    params = request.path_params
    serving.require(request, "model", params["model"])
    return serving, await serving.find(params["model"], params.get("version"))

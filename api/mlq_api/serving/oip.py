"""The Open Inference Protocol, version 2, over HTTP: health, metadata, inference.

A version in a path is a number or an alias; without one it is the alias `production`, else the
newest version. For errors see `refusals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mlq import __version__
from mlq.db.routing import Target
from mlq.models.package import LoadedModel
from mlq_api.serving import binary, rows, tensors
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


async def infer(serving: Serving, call: Call) -> Said:
    """POST /v2/models/{model}[/versions/{version}]/infer

    Counted, and drawn as a sample, for the deployment that stands for the version.
    """
    body, raw = call.body, b""
    if (length := call.headers.get(binary.LENGTH_HEADER)) is not None:
        body, raw = binary.split_body(body, length)
    name, version = call.path[2], call.path[4] if call.path[3] == "versions" else None
    serving.require(call.principal, "model", name)
    target = await serving.find(name, version)
    request_id = read_request_id(call.headers)
    work = _answer(serving, body, raw, target)
    key = (*serving.deployment_of(target), target.version, False)
    said = await measure(serving, key, request_id=request_id, work=work)
    said.headers = {**(said.headers or {}), REQUEST_HEADER: request_id}
    return said


async def _answer(serving: Serving, body: bytes, raw: bytes, target: Target) -> Answered:
    model = await serving.load(target)
    read = partial(read_infer, body, raw, model=model, target=target)
    return await answer(serving, model, size=len(body) + len(raw), read=read)


@dataclass(frozen=True, slots=True)
class Inferred:
    """An inference request. outputs: names of tensors that are wanted, in order."""

    table: Table
    warnings: list[str]
    outputs: list[str]
    request: Mapping[str, Any]
    model: LoadedModel
    target: Target

    @property
    def with_probabilities(self) -> bool:
        """Whether one of the tensors holds them."""
        return tensors.PREDICT_PROBA in self.outputs

    def write(self, answer: Answer) -> Said:
        """The answer: JSON, and behind it the bytes of the tensors that go as such."""
        predictions, probabilities = answer
        outputs, tails = [], []
        for name in self.outputs:
            if name == tensors.PREDICT or probabilities is None:
                output = tensors.write_predictions(self.model, predictions)
            else:
                output = tensors.write_probabilities(self.model, probabilities)
            if binary.wants_binary(self.request, name):
                tails.append(binary.take_data(output))
            outputs.append(output)
        document: dict[str, Any] = {
            "model_name": self.target.name,
            "model_version": str(self.target.version),
        }
        if "id" in self.request:
            document["id"] = self.request["id"]
        if self.warnings:
            document["parameters"] = {"warnings": "; ".join(self.warnings)}
        document["outputs"] = outputs
        written = dump_fast(document)
        if not any(tails):
            return Said(written)
        return Said(
            written + b"".join(tails),
            media_type="application/octet-stream",
            headers={binary.LENGTH_HEADER: str(len(written))},
        )


def read_infer(body: bytes, raw: bytes = b"", *, model: LoadedModel, target: Target) -> Inferred:
    """An inference request. raw: what stands behind its JSON. Raises RowsError."""
    request = parse_object(body)
    if not isinstance(request.get("id", ""), str):
        raise rows.refuse("id", "expected text")
    names = _wanted_outputs(request)
    binary.fill_inputs(request.get("inputs"), raw)
    columns = tensors.read_inputs(request.get("inputs"), model.signature)
    table, warnings = rows.from_columns(model.signature, columns, path="inputs")
    return Inferred(table, warnings, names, request, model, target)


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
    serving.require(request.scope["principal"], "model", params["model"])
    return serving, await serving.find(params["model"], params.get("version"))

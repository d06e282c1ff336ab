"""POST /endpoints/{name}/score: rows in, predictions out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from mlq.db.routing import Target
from mlq.models.package import LoadedModel
from mlq_api.serving import rows
from mlq_api.serving.server import parse_object, serving_of
from mlq_api.wire import dump

if TYPE_CHECKING:
    import pandas as pd

#: Both choose a deployment; the second is Azure's name.
HEADERS = ("mlq-deployment", "azureml-model-deployment")


async def score(request: Request) -> Response:
    """Predict with the deployment that the header names, else with one drawn by traffic."""
    body = await request.body()
    serving = serving_of(request)
    asked = next((request.headers[name] for name in HEADERS if name in request.headers), None)
    deployment, target = await serving.choose(request.path_params["name"], asked)
    model = await serving.load(target)
    answer = await serving.compute(
        answer_score, body, model=model, target=target, deployment=deployment
    )
    headers = {"mlq-deployment": deployment, "mlq-model": target.uri}
    return Response(answer, media_type="application/json", headers=headers)


def answer_score(body: bytes, *, model: LoadedModel, target: Target, deployment: str) -> bytes:
    """The answer to a scoring request, as JSON. Raises RowsError; StepError by the model."""
    request = parse_object(body)
    params = request.get("params") or {}
    if not isinstance(params, dict) or not isinstance(params.get("probabilities", False), bool):
        raise rows.refuse("params", 'expected {"probabilities": true} or nothing')
    frame, warnings = _frame(model, request)
    answer: dict[str, Any] = {"predictions": model.predict(frame).tolist()}
    if params.get("probabilities"):
        labels = [label_key(label) for label in model.classes]
        answer["probabilities"] = [
            dict(zip(labels, shares, strict=True)) for shares in model.predict_proba(frame).tolist()
        ]
    answer |= {"model": target.uri, "deployment": deployment}
    if warnings:
        answer["warnings"] = warnings
    return dump(answer)


def label_key(label: Any) -> str:
    """A class label as a key of a JSON object: text as it is, 1 as `1`, True as `true`."""
    return label if isinstance(label, str) else json.dumps(label, default=str)


def _frame(model: LoadedModel, request: dict[str, Any]) -> tuple[pd.DataFrame, list[str]]:
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

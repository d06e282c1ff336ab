"""Requests, answers and errors in the shapes that MLflow's clients know."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from mlq.db.projects import DEFAULT
from mlq.db.queries.runs import Experiment, LoggedModel, Run
from mlq.errors import ForbiddenError, MlqError, NotFoundError, UnavailableError
from mlq.service.tokens import Principal
from mlq.service.tracking import Caller
from mlq_api.auth import principal_of
from mlq_api.problems import status_of
from mlq_api.wire import json_response

_CODES: Mapping[str, str] = {
    "exists": "RESOURCE_ALREADY_EXISTS",
    "conflict": "INVALID_STATE",
    "too_large": "INVALID_PARAMETER_VALUE",
}
MAX_PAGE = 50_000


class MlflowRoute(APIRoute):
    """A route whose errors are MLflow's: `error_code` and `message`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of this route, with mlq's errors in MLflow's words."""
        handle = super().get_route_handler()

        async def translated(request: Request) -> Response:
            try:
                self.check(principal_of(request))
                return await handle(request)
            except MlqError as error:
                return answer_error(error)

        return translated

    def check(self, principal: Principal) -> None:
        """Refuse who has nothing to do here. Raises ForbiddenError."""


class RegistryRoute(MlflowRoute):
    """A route of the registry, which code inside a job does not reach."""

    def check(self, principal: Principal) -> None:
        """Raises ForbiddenError."""
        if principal.attempt is not None:
            raise ForbiddenError(
                "Code inside a job does not reach the registry.",
                hint="Take a model as an input of the job, and register one by mlq:register.",
            )


def answer_error(error: MlqError) -> Response:
    """An error as MLflow's clients read it; its code decides whether they try again."""
    if isinstance(error, NotFoundError):
        code = "RESOURCE_DOES_NOT_EXIST"
    elif isinstance(error, ForbiddenError):
        code = "PERMISSION_DENIED"
    elif isinstance(error, UnavailableError):
        code = "TEMPORARILY_UNAVAILABLE"
    else:
        code = _CODES.get(error.code, "INVALID_PARAMETER_VALUE")
    status = 400 if status_of(error) in {409, 422} else status_of(error)
    message = f"{error.message} {error.hint}".strip()
    return json_response({"error_code": code, "message": message}, status=status)


class Asked:
    """What a request says: its query for GET, else its JSON body."""

    def __init__(self, values: Mapping[str, Any], lists: Mapping[str, list[str]]) -> None:
        self._values = values
        self._lists = lists

    @classmethod
    async def read(cls, request: Request) -> Asked:
        """Read it. Raises MlqError (code `invalid`)."""
        query = request.query_params
        values: dict[str, Any] = dict(query)
        lists = {key: query.getlist(key) for key in query}
        if request.method != "GET":
            try:
                body = json.loads(await request.body() or b"{}")
                if isinstance(body, str):  # some clients of MLflow encode twice
                    body = json.loads(body)
            except (ValueError, RecursionError):
                raise MlqError("The body is not JSON.", code="invalid") from None
            if not isinstance(body, dict):
                raise MlqError("The body is not a JSON object.", code="invalid")
            values.update(body)
        return cls(values, lists)

    def text(self, *names: str, default: str | None = None) -> str:
        """The first of `names` that is given. Raises MlqError when none is and there's no default.

        Several names: MLflow renamed some (`run_uuid`, `run_id`).
        """
        for name in names:
            value = self._values.get(name)
            if value is not None and not isinstance(value, (dict, list)):
                text = value if isinstance(value, str) else json.dumps(value)
                if "\x00" in text:
                    raise MlqError(f"'{name}' contains a NUL.", code="invalid")
                return text
        if default is None:
            raise MlqError(f"'{names[0]}' is missing.", code="invalid")
        return default

    def integer(self, name: str, *, default: int, most: int = 2**62) -> int:
        """A whole number between 0 and `most`."""
        text = self.text(name, default=str(default))
        try:
            number = int(float(text))
        except (ValueError, OverflowError):
            raise MlqError(f"'{name}' is no number: '{text:.40}'.", code="invalid") from None
        if not 0 <= number <= most:
            raise MlqError(f"'{name}' is not between 0 and {most}.", code="invalid")
        return number

    def moment(self, name: str) -> datetime | None:
        """A time in milliseconds since 1970; None when it is not given."""
        number = self.integer(name, default=0, most=253_402_300_799_000)
        return moment_of(number) if number else None

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._values.get(name)
        found = value if isinstance(value, list) else self._lists.get(name, [])
        return [item if isinstance(item, str) else json.dumps(item) for item in found]

    def records(self, name: str) -> list[dict[str, Any]]:
        """A list of objects. Raises MlqError."""
        found = self._values.get(name) or []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise MlqError(f"'{name}' is no list of objects.", code="invalid")
        return found

    def pairs(self, name: str) -> dict[str, str]:
        """A list of {key, value}, as a mapping."""
        found = {}
        for item in self.records(name):
            asked = Asked(item, {})
            found[asked.text("key")] = asked.text("value", default="")
        return found

    def offset(self) -> int:
        """Where the page begins that `page_token` names."""
        return self.integer("page_token", default=0, most=10_000_000)


def caller_of(request: Request) -> Caller:
    """Who tracks, and the project that they are kept to."""
    principal = principal_of(request)
    return Caller(principal.project, principal.attempt)


def moment_of(milliseconds: int) -> datetime:
    """A time from MLflow's milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def millis(moment: datetime | None) -> int | None:
    """A time in MLflow's milliseconds."""
    return None if moment is None else round(moment.timestamp() * 1000)


def number(value: float) -> float | str:
    """A number as Protocol Buffers write it in JSON, which has no infinity."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def next_token(found: Sequence[Any], *, offset: int, limit: int) -> dict[str, str]:
    """The page's continuation, where one more than `limit` was found."""
    return {"next_page_token": str(offset + limit)} if len(found) > limit else {}


def pairs_view(values: Mapping[str, str]) -> list[dict[str, str]]:
    """A mapping as MLflow's list of {key, value}."""
    return [{"key": key, "value": value} for key, value in values.items()]


def experiment_view(row: Experiment, caller: Caller) -> dict[str, Any]:
    """An experiment; who sees all projects is told whose it is."""
    tags = dict(row.tags)
    if caller.project is None and row.project != DEFAULT:
        tags["mlq.project"] = row.project
    return {
        "experiment_id": str(row.id),
        "name": row.name,
        "artifact_location": f"mlflow-artifacts:/{row.id}",
        "lifecycle_stage": "deleted" if row.is_deleted else "active",
        "creation_time": millis(row.created_at),
        "last_update_time": millis(row.updated_at),
        "tags": pairs_view(tags),
    }


def run_view(row: Run) -> dict[str, Any]:
    """A run: info, data, inputs and outputs."""
    tags = dict(row.tags)
    if row.job_id is not None:
        tags = {
            "mlflow.runName": row.name,
            "mlflow.user": row.user,
            "mlflow.source.type": "JOB",
            "mlq.job": row.root_id or row.id,
            **tags,
        }
    by_kind: dict[str, list[Any]] = {}
    for kind, content in row.links:
        by_kind.setdefault(kind, []).append(content)
    return {
        "info": {
            "run_id": row.id,
            "run_uuid": row.id,
            "run_name": tags.get("mlflow.runName", row.name),
            "experiment_id": str(row.experiment_id),
            "user_id": row.user,
            "status": row.status,
            "start_time": millis(row.started_at),
            "end_time": millis(row.ended_at),
            "artifact_uri": f"mlflow-artifacts:/{row.experiment_id}/{row.id}/artifacts",
            "lifecycle_stage": "deleted" if row.is_deleted else "active",
        },
        "data": {
            "metrics": [metric_view(one) for one in row.metrics],
            "params": pairs_view(row.params),
            "tags": pairs_view(tags),
        },
        "inputs": {
            "dataset_inputs": by_kind.get("dataset", []),
            "model_inputs": by_kind.get("model_input", []),
        },
        "outputs": {"model_outputs": by_kind.get("model_output", [])},
    }


def metric_view(one: Any) -> dict[str, Any]:
    """A value of a metric."""
    return {
        "key": one.key,
        "value": number(one.value),
        "timestamp": millis(one.at),
        "step": one.step,
    }


def logged_model_view(row: LoggedModel) -> dict[str, Any]:
    """A logged model."""
    model_id = f"m-{row.id}"
    address = f"mlflow-artifacts:/{row.experiment_id}/models/{model_id}/artifacts"
    return {
        "model": {
            "info": {
                "model_id": model_id,
                "experiment_id": str(row.experiment_id),
                "name": row.name,
                "creation_timestamp_ms": millis(row.created_at),
                "last_updated_timestamp_ms": millis(row.updated_at),
                "artifact_uri": address,
                "status": row.status,
                "model_type": row.type,
                "source_run_id": row.run_id or "",
                "tags": pairs_view(row.tags),
            },
            "data": {
                "params": pairs_view(row.params),
                "metrics": [
                    {
                        **metric_view(one),
                        "run_id": one.run_id,
                        "model_id": model_id,
                        "dataset_name": one.dataset_name or None,
                        "dataset_digest": one.dataset_digest or None,
                    }
                    for one in row.metrics
                ],
            },
        }
    }

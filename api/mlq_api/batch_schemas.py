"""Batch endpoints as the API takes and answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_ID = "0199f2c81a2b7c3d8e4f5a6b7c8d9e0f"
_AT = "2026-11-28T08:00:00Z"
_DEPLOYMENT = {
    "endpoint": "churn-batch",
    "name": "v1",
    "version": 1,
    "description": "",
    "tags": {},
    "inputs": {"data": {"type": "uri_file"}},
    "created_by": "admin",
    "created_at": _AT,
}


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class BatchDeploymentView(BaseModel):
    """A version of what an endpoint does with its inputs."""

    model_config = _example(_DEPLOYMENT)
    endpoint: str
    name: str
    version: int
    description: str = ""
    tags: dict[str, Any] = {}
    inputs: dict[str, Any] = Field(default={}, description="What an invocation may give.")
    job: dict[str, Any] | None = Field(default=None, description="What an invocation submits.")
    created_by: str
    created_at: datetime


class BatchEndpointView(BaseModel):
    """A published pipeline or model: a stable name that takes inputs and answers a job."""

    model_config = _example(
        {
            "name": "churn-batch",
            "description": "",
            "tags": {},
            "default_deployment": "v1",
            "deployments": [_DEPLOYMENT],
            "scoring_uri": "http://127.0.0.1:8420/v1/batch-endpoints/churn-batch/jobs",
            "created_by": "admin",
            "created_at": _AT,
            "updated_at": _AT,
        }
    )
    name: str
    description: str = ""
    tags: dict[str, Any] = {}
    default_deployment: str | None = None
    deployments: list[BatchDeploymentView] = []
    scoring_uri: str
    created_by: str
    created_at: datetime
    updated_at: datetime


class Invocation(BaseModel):
    """Invokes an endpoint. deployment: its default where none is named; version: the newest."""

    model_config = _example({"inputs": {"data": "mlq:customers:7"}})
    inputs: dict[str, Any] = {}
    deployment: str | None = Field(default=None, max_length=255)
    version: int | None = Field(default=None, ge=1)
    force_rerun: bool = False


class Invoked(BaseModel):
    """A job that was invoked through an endpoint."""

    model_config = _example(
        {
            "job_id": _ID,
            "deployment": "v1",
            "version": 1,
            "state": "running",
            "invoked_by": "ann",
            "at": _AT,
        }
    )
    job_id: str
    deployment: str
    version: int
    state: str
    reason: str | None = None
    invoked_by: str
    at: datetime

"""What the API takes and answers, as OpenAPI describes it. Times are ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from mlq_api.git_schemas import Git
from mlq_api.sweep_schemas import SweepSummary

T = TypeVar("T")

_ID = "0199f2c81a2b7c3d8e4f5a6b7c8d9e0f"
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_AT = "2026-11-23T08:00:00Z"

State = Literal[
    "pending", "queued", "running", "waiting", "succeeded", "failed", "canceled", "skipped"
]


def _example(**value: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class Problem(BaseModel):
    """RFC 9457 problem details: every answer from 400 on."""

    model_config = _example(
        type="about:blank",
        title="Not Found",
        status=404,
        detail="There is no job 'chrn'.",
        code="not_found",
        hint="`mlq job list` shows the newest.",
    )
    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable word for programs.")
    hint: str | None = Field(default=None, description="The next thing to try.")
    problems: list[dict[str, Any]] | None = Field(
        default=None, description="Of a job file: path, message, line, suggestion, file."
    )


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` asks for the next, null at the end."""

    items: list[T]
    next_cursor: str | None = None


class JobError(BaseModel):
    """Why a job failed."""

    model_config = ConfigDict(extra="allow")
    code: str | None = None
    message: str | None = None
    hint: str | None = Field(default=None, description="The next thing to try.")


class Job(BaseModel):
    """A job; steps of a pipeline are jobs too."""

    model_config = _example(
        id=_ID,
        type="pipeline",
        name="churn",
        path="",
        display_name="churn",
        experiment_name="churn",
        state="running",
        attempt=0,
        generation=1,
        priority=0,
        root_id=_ID,
        submitted_by="admin",
        created_at=_AT,
        children=[],
    )
    id: str
    type: str
    name: str = Field(description="Name of the step, or of the root.")
    path: str = Field(description="Names from below the root: `outer.inner`; empty for a root.")
    display_name: str | None = None
    experiment_name: str | None = None
    state: State
    reason: str | None = None
    error: JobError | None = None
    waiting_for: str | None = Field(default=None, description="In words, while it waits.")
    compute: str | None = None
    component: str | None = None
    attempt: int
    generation: int
    priority: int
    worker: str | None = None
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    params: dict[str, Any] = {}
    metrics: dict[str, float | None] = {}
    tags: dict[str, Any] = {}
    parent_id: str | None = None
    root_id: str
    submitted_by: str | None = None
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    archived_at: datetime | None = None
    duration_s: float | None = None
    upstreams: list[str] = []
    git: Git | None = Field(default=None, description="Of a root whose code git knows.")
    sweep: SweepSummary | None = Field(
        default=None, description="Of a sweep that is shown itself or as a step."
    )
    children: list[Job] | None = Field(
        default=None, description="A sweep's are its trials, and listed by `/children` only."
    )


class PlannedStep(BaseModel):
    """A job that a submit would make."""

    path: str
    name: str
    type: str
    component: str | None = None
    compute: str | None = None
    upstreams: list[str] = []
    reuses: str | None = Field(
        default=None, description="A job whose outputs it would take, as things are now."
    )


class PlanView(BaseModel):
    """What a submit would make; nothing is stored."""

    model_config = _example(
        type="pipeline",
        display_name="churn",
        experiment_name="churn",
        jobs=[{"path": "prep", "name": "prep", "type": "command", "upstreams": []}],
        assets=["mlq:churn@latest"],
        warnings=[],
    )
    type: str
    display_name: str
    experiment_name: str
    jobs: list[PlannedStep]
    assets: list[str]
    warnings: list[str]


class Event(BaseModel):
    """One entry of the history; `id` resumes a stream after it."""

    model_config = _example(id="0.17", at=_AT, kind="job.succeed", job_id=_ID, state="succeeded")
    id: str
    at: datetime
    kind: str
    job_id: str | None = None
    root_id: str | None = None
    attempt: int | None = None
    generation: int | None = None
    state: str | None = None
    reason: str | None = None
    subject: str | None = None
    actor: str | None = None
    detail: dict[str, Any] | None = None


class LogChunk(BaseModel):
    """A piece of what a job printed."""

    model_config = _example(
        id=1, job_id=_ID, path="prep", attempt=1, stream="stdout", content="1000 rows\n", at=_AT
    )
    id: int
    job_id: str
    path: str
    attempt: int
    stream: str
    content: str
    at: datetime


class JobWords(BaseModel):
    """What the newest jobs are called and what they measured."""

    model_config = _example(names=["churn"], experiments=["nightly"], metrics=["roc_auc"])
    names: list[str]
    experiments: list[str]
    metrics: list[str]


class Metric(BaseModel):
    """One logged value; null stands for NaN and infinities."""

    model_config = _example(key="roc_auc", step=0, value=0.91, at=_AT, attempt=1)
    key: str
    step: int
    value: float | None
    at: datetime
    attempt: int


class Output(BaseModel):
    """An output: a literal `value`, or bytes by `digest` at `url`."""

    model_config = _example(
        type="uri_file",
        digest=_DIGEST,
        kind="blob",
        name="train.parquet",
        size_bytes=4096,
        url=f"/v1/jobs/{_ID}/outputs/train",
    )
    type: str
    value: Any = None
    digest: str | None = None
    kind: str | None = None
    name: str | None = None
    size_bytes: int | None = None
    url: str | None = None


class Blob(BaseModel):
    """Stored bytes."""

    model_config = _example(digest=_DIGEST, size_bytes=4096)
    digest: str
    size_bytes: int


class DataVersion(BaseModel):
    """A version of a dataset; `id` is what a job file names."""

    model_config = _example(
        name="churn",
        version=3,
        id="mlq:churn:3",
        type="uri_file",
        digest=_DIGEST,
        file_name="churn.csv",
        size_bytes=4096,
        description="",
        tags={},
        created_by="admin",
        created_at=_AT,
    )
    name: str
    version: int
    id: str
    type: str
    digest: str
    file_name: str
    size_bytes: int
    description: str = ""
    tags: dict[str, Any] = {}
    created_by: str
    created_at: datetime
    source: str | None = None


class NewDataVersion(BaseModel):
    """Registers bytes that were uploaded with `PUT /v1/blobs`."""

    model_config = _example(digest=_DIGEST, type="uri_file", file_name="churn.csv")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    type: Literal["uri_file", "uri_folder", "mltable"] = "uri_file"
    file_name: str = Field(default="data", max_length=255)
    description: str = Field(default="", max_length=10_000)
    tags: dict[str, str] = Field(default={}, max_length=100)
    version: int | None = Field(
        default=None, ge=1, lt=2**31, description="Its number; the next when left out."
    )


class DataAsset(BaseModel):
    """A dataset with its newest version."""

    model_config = _example(name="churn", latest_version=3)
    name: str
    latest_version: int
    latest: DataVersion | None = None


class NewModelVersion(BaseModel):
    """Registers a folder that was stored with `PUT /v1/trees`."""

    model_config = _example(digest=_DIGEST, type="mlflow_model")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    type: Literal["mlflow_model", "custom_model", "triton_model"] = "mlflow_model"
    description: str = Field(default="", max_length=10_000)
    tags: dict[str, str] = Field(default={}, max_length=100)
    version: int | None = Field(
        default=None, ge=1, lt=2**31, description="Its number, which must be the next."
    )


class ModelVersion(BaseModel):
    """A version of a registered model."""

    model_config = _example(
        name="churn",
        version=3,
        uri="models:/churn/3",
        digest=_DIGEST,
        job_id=_ID,
        metrics={"roc_auc": 0.91},
        report={},
        description="",
        aliases=["production"],
        tags={},
        created_by="admin",
        created_at=_AT,
    )
    name: str
    version: int
    uri: str
    digest: str
    job_id: str | None = None
    metrics: dict[str, float | None] = {}
    report: dict[str, Any] = {}
    description: str = ""
    aliases: list[str] = []
    tags: dict[str, Any] = {}
    created_by: str
    created_at: datetime


class Model(BaseModel):
    """A registered model. aliases: alias -> version; versions: newest first."""

    model_config = _example(
        name="churn",
        description="",
        aliases={"production": 3},
        latest_version=3,
        created_at=_AT,
    )
    name: str
    description: str = ""
    aliases: dict[str, int] = {}
    latest_version: int
    created_at: datetime
    versions: list[ModelVersion] | None = None


class Promotion(BaseModel):
    """Moves an alias. version: a number, or an alias such as `staging`."""

    model_config = _example(alias="production", version="staging", reason="better on June")
    alias: str = Field(default="production", max_length=64)
    version: int | str
    reason: str = Field(default="", max_length=2000)


class Rollback(BaseModel):
    """Moves an alias back to what it was, or to version `to`."""

    model_config = _example(alias="production", reason="worse on mondays")
    alias: str = Field(default="production", max_length=64)
    to: int | None = None
    reason: str = Field(default="", max_length=2000)
    force: bool = Field(default=False, description="Also where the signatures do not fit.")


class AliasAct(BaseModel):
    """Undoes the rollback of an alias, or lets pipelines move it again."""

    model_config = _example(alias="production", reason="the data was at fault")
    alias: str = Field(default="production", max_length=64)
    reason: str = Field(default="", max_length=2000)


class AliasHold(BaseModel):
    """Whether pipelines may move an alias. changed: false where that was so already."""

    model_config = _example(name="churn", alias="production", held=False, changed=True)
    name: str
    alias: str
    held: bool
    changed: bool


class AliasChange(BaseModel):
    """What an alias did. changed: false where it stood there already.

    endpoints: those with a deployment that follows it. held: pipelines leave it alone until it is
    resumed.
    """

    model_config = _example(name="churn", alias="production", version=3, previous=2, changed=True)
    name: str
    alias: str
    version: int | None = None
    previous: int | None = None
    changed: bool
    endpoints: list[dict[str, str]] = []
    held: bool = False


class AliasMove(BaseModel):
    """A move of an alias, as the history keeps it. version null: the alias was removed."""

    model_config = _example(
        name="churn",
        alias="production",
        version=2,
        previous=3,
        act="rollback",
        reason="worse on mondays",
        actor="admin",
        job_id=None,
        at=_AT,
    )
    name: str
    alias: str
    version: int | None = None
    previous: int | None = None
    act: str
    reason: str = ""
    actor: str
    job_id: str | None = None
    at: datetime


class Deployment(BaseModel):
    """What stands behind an endpoint: a version, or an alias that it follows."""

    model_config = _example(
        name="production",
        model="models:/churn@production",
        alias="production",
        version=3,
        created_at=_AT,
        updated_at=_AT,
    )
    name: str
    model: str
    alias: str | None = None
    version: int | None = Field(default=None, description="What it stands for now.")
    description: str = ""
    tags: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    created_at: datetime
    updated_at: datetime


class Endpoint(BaseModel):
    """A stable name that answers predictions. traffic, mirror_traffic: deployment -> percent."""

    model_config = _example(
        name="churn",
        description="",
        traffic={"production": 100},
        deployments=[],
        scoring_uri="http://127.0.0.1:8420/endpoints/churn/score",
        created_at=_AT,
        updated_at=_AT,
    )
    name: str
    description: str = ""
    traffic: dict[str, int] = {}
    mirror_traffic: dict[str, int] = {}
    deployments: list[Deployment] = []
    scoring_uri: str
    tags: dict[str, Any] = {}
    created_at: datetime
    updated_at: datetime


class NewEndpoint(BaseModel):
    """Makes an endpoint."""

    model_config = _example(name="churn", description="Who will leave?")
    name: str = Field(max_length=255)
    description: str = Field(default="", max_length=10_000)
    tags: dict[str, str] = {}


class EndpointChange(BaseModel):
    """Changes what is given."""

    model_config = _example(traffic={"production": 90, "candidate": 10})
    description: str | None = Field(default=None, max_length=10_000)
    tags: dict[str, str] | None = None
    traffic: dict[str, int] | None = None
    mirror_traffic: dict[str, int] | None = None


class DeploymentSettings(BaseModel):
    """How a deployment answers."""

    model_config = ConfigDict(extra="forbid")
    request_timeout_ms: int | None = Field(default=None, gt=0)
    sampling_rate: float | None = Field(default=None, ge=0, le=1)
    drift: dict[str, Any] | None = None


class NewDeployment(BaseModel):
    """Puts a model behind an endpoint. What is left out of a deployment that is there stays."""

    model_config = _example(model="models:/churn@production")
    model: str = Field(max_length=400)
    description: str | None = Field(default=None, max_length=10_000)
    tags: dict[str, str] | None = None
    settings: DeploymentSettings | None = None


class Worker(BaseModel):
    """A process that executes jobs."""

    model_config = _example(
        id=_ID,
        name="celery@laptop",
        host="laptop",
        pid=4711,
        version="0.1.0",
        computes=["cpu"],
        slots=2,
        busy=1,
        cores=8,
        memory_bytes=16_000_000_000,
        gpus=[],
        state="online",
        drain_requested_at=None,
        started_at=_AT,
        seen_at=_AT,
    )
    id: str
    name: str
    host: str
    pid: int
    version: str
    computes: list[str]
    slots: int
    busy: int
    cores: int
    memory_bytes: int
    gpus: list[Any]
    state: str
    drain_requested_at: datetime | None
    started_at: datetime
    seen_at: datetime


class ServerProcess(BaseModel):
    """An API or a model server. kind: `api` or `serve`."""

    model_config = _example(
        id=_ID,
        kind="api",
        host="laptop",
        pid=4712,
        version="0.1.0",
        started_at=_AT,
        seen_at=_AT,
    )
    id: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: str
    seen_at: str


class Queue(BaseModel):
    """What waits for one compute, and who serves it. outstanding: those handed to the broker."""

    model_config = _example(
        compute="cpu",
        queued=3,
        outstanding=3,
        running=2,
        slots=2,
        busy=2,
        workers=1,
        oldest_queued_s=1.5,
    )
    compute: str
    queued: int
    outstanding: int
    running: int
    slots: int
    busy: int
    workers: int
    oldest_queued_s: float | None = None


class Scale(BaseModel):
    """How many workers a queue could use."""

    model_config = _example(desired=2)
    desired: int


class ComponentPort(BaseModel):
    """An input or output of a component."""

    type: str
    optional: bool = False
    default: Any = None
    enum: list[Any] | None = None
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""


class Component(BaseModel):
    """A reusable step definition; of a registered one, `definition` is its file."""

    model_config = _example(
        id="mlq:score",
        name="mlq:score",
        version="1",
        description="Batch predictions.",
        inputs={"data": {"type": "uri_file"}},
        outputs={"predictions": {"type": "uri_file"}},
        open_inputs=False,
        is_deterministic=True,
    )
    name: str
    version: str
    description: str = ""
    inputs: dict[str, ComponentPort]
    outputs: dict[str, ComponentPort]
    open_inputs: bool
    is_deterministic: bool
    id: str = Field(description="As job files name it: `mlq:count_lines:3`.")
    created_by: str | None = None
    created_at: datetime | None = None
    definition: dict[str, Any] | None = None


class Token(BaseModel):
    """A token without its secret."""

    model_config = _example(id=_ID, name="ci", role="submitter", created_at=_AT)
    id: str
    name: str
    role: str
    project: str | None = Field(default=None, description="The only one that it reaches.")
    created_at: datetime
    last_used_at: datetime | None = Field(default=None, description="To the minute.")
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class NewToken(BaseModel):
    """Makes a token. viewer looks, submitter also runs and serves, admin also administers."""

    model_config = _example(name="ci", role="submitter", expires_in_s=2_592_000)
    name: str = Field(min_length=1, max_length=255)
    role: Literal["viewer", "submitter", "admin"]
    expires_in_s: float | None = Field(default=None, gt=0)
    project: str | None = Field(
        default=None, max_length=64, description="The only one that it reaches."
    )


class MadeToken(BaseModel):
    """A token just made; `token` is shown this once."""

    model_config = _example(id=_ID, name="ci", role="submitter", token="mlq_…")
    id: str
    name: str
    role: str
    project: str | None = None
    token: str


class Whoami(BaseModel):
    """Who one is to the server."""

    model_config = _example(name="admin", role="admin")
    name: str
    role: str
    project: str | None = None


class Health(BaseModel):
    """The process lives."""

    model_config = _example(status="ok")
    status: str


class Readiness(BaseModel):
    """Whether requests can be served. checks: part -> `ok` or what is wrong."""

    model_config = _example(
        status="ok", checks={"database": "ok", "broker": "ok", "artifacts": "ok"}
    )
    status: str
    checks: dict[str, str]


class Finding(BaseModel):
    """One thing that was examined."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


class Doctor(BaseModel):
    """What the server finds when it examines itself."""

    model_config = _example(
        ok=True, checks=[{"name": "database", "ok": True, "detail": "answers in 0.4 ms", "fix": ""}]
    )
    ok: bool
    checks: list[Finding]


class Prediction(BaseModel):
    """An endpoint's answer, one entry for each row."""

    model_config = _example(predictions=["yes"], model="models:/churn/3", deployment="production")
    predictions: list[Any]
    probabilities: list[dict[str, float]] | None = None
    model: str
    deployment: str


class Anything(BaseModel):
    """What the serving process answers; the Open Inference Protocol v2 describes it."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"ready": True}]})

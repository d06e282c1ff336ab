"""What the API answers, as typed dictionaries. Times are ISO 8601 in UTC, durations in seconds."""

from __future__ import annotations

from typing import Any, Generic, NotRequired, TypedDict, TypeVar

T = TypeVar("T")


class Page(TypedDict, Generic[T]):
    """One page of a list; `next_cursor` asks for the next, None at the end."""

    items: list[T]
    next_cursor: str | None


class JobError(TypedDict):
    """Why a job failed. hint: the next thing to try."""

    code: str
    message: str
    hint: NotRequired[str | None]


class Job(TypedDict, total=False):
    """A job; a step and a trial are jobs too. `children` are one level deep unless asked deeper."""

    id: str
    type: str
    name: str
    path: str
    display_name: str | None
    experiment_name: str | None
    state: str
    reason: str | None
    error: JobError | None
    waiting_for: str | None
    compute: str | None
    component: str | None
    attempt: int
    generation: int
    priority: int
    worker: str | None
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    params: dict[str, Any]
    metrics: dict[str, float | None]
    tags: dict[str, str]
    parent_id: str | None
    root_id: str
    submitted_by: str | None
    created_at: str
    queued_at: str | None
    started_at: str | None
    finished_at: str | None
    cancel_requested_at: str | None
    duration_s: float | None
    git: Git | None
    sweep: Sweep
    children: list[Job]
    upstreams: list[str]


class Git(TypedDict, total=False):
    """What the code of a job was submitted from. diff: SHA-256 of the difference, if any."""

    commit: str
    branch: str | None
    repository: str | None
    is_dirty: bool
    diff: str | None


class Sweep(TypedDict, total=False):
    """What a sweep is after and how far it is.

    limits: max_total_trials, max_concurrent_trials, and in seconds timeout and trial_timeout.
    total: trials when nothing ends it early, None where nobody can know. counts: of trials, by
    `queued`, `running`, `succeeded`, `failed`, `pruned` and `canceled`.
    """

    objective: Objective
    sampling: dict[str, Any]
    early_termination: dict[str, Any] | None
    limits: dict[str, float | None]
    total: int | None
    counts: dict[str, int]
    best: BestTrial | None
    paused_at: str | None


class Objective(TypedDict):
    """What a sweep is after; goal: `maximize` or `minimize`."""

    primary_metric: str
    goal: str
    target: float | None


class BestTrial(TypedDict):
    """The best trial of a sweep so far."""

    number: int
    id: str
    value: float
    params: dict[str, Any]


class Trial(TypedDict, total=False):
    """A trial of a sweep. params: None before it is begun; value: of the primary metric."""

    number: int
    id: str
    state: str
    reason: str | None
    error: JobError | None
    params: dict[str, Any] | None
    value: float | None
    metrics: dict[str, float | None]
    attempt: int
    worker: str | None
    started_at: str | None
    finished_at: str | None
    duration_s: float | None


class ProgressPoint(TypedDict):
    """A trial that was the best when it ended."""

    number: int
    finished_at: str
    value: float


class Progress(TypedDict):
    """How the best value of a sweep came about."""

    objective: Objective
    points: list[ProgressPoint]


class Output(TypedDict, total=False):
    """An output of a job: a literal `value`, or bytes by `digest` behind `url`."""

    type: str
    value: Any
    digest: str
    kind: str
    name: str
    size_bytes: int
    url: str


class DataVersion(TypedDict, total=False):
    """One version of a dataset; `id` is what a job file names (`mlq:churn:3`)."""

    name: str
    version: int
    id: str
    type: str
    digest: str
    file_name: str
    size_bytes: int
    description: str | None
    created_by: str | None
    created_at: str
    source: str | None


class ModelVersion(TypedDict, total=False):
    """One version of a registered model."""

    name: str
    version: int
    uri: str
    digest: str
    job_id: str | None
    metrics: dict[str, float | None]
    report: dict[str, Any]
    description: str | None
    aliases: list[str]
    created_by: str | None
    created_at: str


class Model(TypedDict, total=False):
    """A registered model. aliases: alias -> version."""

    name: str
    description: str | None
    aliases: dict[str, int]
    latest_version: int
    versions: list[ModelVersion]


class AliasMove(TypedDict, total=False):
    """One move of an alias, as the history keeps it."""

    name: str
    alias: str
    version: int | None
    previous: int | None
    act: str
    reason: str | None
    actor: str | None
    at: str
    endpoints: list[dict[str, str]]
    held: bool


class Deployment(TypedDict, total=False):
    """What stands behind an endpoint: a version, or an alias that it follows."""

    name: str
    model: str
    alias: str | None
    version: int | None
    description: str
    tags: dict[str, str]
    settings: dict[str, Any]


class Endpoint(TypedDict, total=False):
    """A stable name that answers predictions. traffic, mirror_traffic: deployment -> percent."""

    name: str
    description: str | None
    traffic: dict[str, int]
    mirror_traffic: dict[str, int]
    deployments: list[Deployment]
    scoring_uri: str


class Rollout(TypedDict, total=False):
    """A version on its way to an alias. phase: running, frozen, succeeded or rolled_back."""

    id: str
    endpoint: str
    model: str
    alias: str
    previous: int
    policy: dict[str, Any]
    stage: int
    phase: str
    reason: str
    metrics: dict[str, float]
    created_by: str
    created_at: str
    ended_at: str | None


class DriftReport(TypedDict, total=False):
    """How the version behind a deployment did. features, prediction: measures of drift."""

    deployment: str
    model: str
    sampling_rate: float
    at: str | None
    rows: int
    has_profile: bool
    features: list[dict[str, Any]]
    prediction: dict[str, Any] | None
    live: dict[str, Any]
    breaches: list[str]


class SampledRequest(TypedDict, total=False):
    """A request that was kept. columns: name -> values. truth: None where it is not known."""

    id: int
    at: str
    request_id: str
    deployment: str
    version: int
    is_copy: bool
    rows: int
    columns: dict[str, list[Any]]
    predictions: list[Any]
    truth: list[Any] | None


class Prediction(TypedDict, total=False):
    """The answer of an endpoint; one entry for each row that was sent."""

    predictions: list[Any]
    probabilities: list[dict[str, float]]
    model: str
    deployment: str


class Worker(TypedDict, total=False):
    """A process that executes jobs. seen_at: its last heartbeat.

    drain_requested_at: since when somebody wants it to take no further step.
    """

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
    drain_requested_at: str | None
    started_at: str
    seen_at: str


class ServerProcess(TypedDict, total=False):
    """An API or a model server that lives. kind: `api` or `serve`."""

    id: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: str
    seen_at: str


class Queue(TypedDict, total=False):
    """The jobs waiting for one compute, and who serves it."""

    compute: str
    queued: int
    outstanding: int
    running: int
    slots: int
    workers: int
    oldest_queued_s: float | None


class DataAsset(TypedDict, total=False):
    """A dataset with its newest version."""

    name: str
    latest_version: int
    latest: DataVersion | None


class Finding(TypedDict):
    """One thing that the server examined; `fix` where it is not well."""

    name: str
    ok: bool
    detail: str
    fix: str


class Doctor(TypedDict):
    """What the server finds when it examines itself."""

    ok: bool
    checks: list[Finding]


class Project(TypedDict):
    """A project."""

    name: str


class Limit(TypedDict):
    """A concurrency limit, or the quota of a project."""

    name: str
    slots: int
    in_use: int
    waiting: int
    set_by: str
    set_at: str


class Secret(TypedDict):
    """A secret without its value."""

    name: str
    set_by: str
    set_at: str


class Token(TypedDict, total=False):
    """An access token; the secret `token` is answered once, at its creation."""

    id: str
    name: str
    role: str
    project: str | None
    token: str
    created_at: str
    last_used_at: str | None
    expires_at: str | None
    revoked_at: str | None

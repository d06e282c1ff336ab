"""`/v1/jobs`: submit, look, stop, go on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import StringConstraints
from sqlalchemy import Connection

from mlq.db import job_git
from mlq.db import usage as measured
from mlq.db.job_git import GitRecord
from mlq.db.projects import DEFAULT
from mlq.db.queries import jobs as query
from mlq.db.window import Delivery
from mlq.errors import MlqError, NotFoundError
from mlq.ids import parse_id
from mlq.service import jobs as service
from mlq.service import ordering, steering
from mlq.service.blueprint import Blueprint
from mlq.service.capacity import Windows
from mlq.service.forecast import foresee_reuse
from mlq.service.jobs import Idempotency, Submitted
from mlq.spec import Plan
from mlq_api.access import OF_JOB, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import media_type_of, parse
from mlq_api.downloads import send_blob
from mlq_api.git_schemas import MAX_GIT, git_of
from mlq_api.operations import PROBLEMS, Cursor, Limit, Ref, bad_cursor, content, number_of, takes
from mlq_api.ordering_schemas import Move
from mlq_api.plans import JSON_TYPE
from mlq_api.schemas import Job, Metric, Page, PlanView, State
from mlq_api.server import server_of
from mlq_api.usage_schemas import Usage, usage_view
from mlq_api.views import MAX_DEPTH, job_tree, job_views, metric_view, page_of, submitted_tree
from mlq_api.wire import json_response

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=PROBLEMS, dependencies=[OF_JOB])

_MAX_KEY = 255
_MOST_METRICS = 10
_MetricName = Annotated[str, StringConstraints(min_length=1, max_length=300)]
_Condition = Annotated[str, StringConstraints(min_length=3, max_length=340)]
_CONDITION = re.compile(r"\s*(?P<name>\S.*?)\s*(?P<op>>=|<=|!=|>|<|=)\s*(?P<value>\S+)\s*")
_YAML = """\
type: pipeline
display_name: churn
jobs:
  prep:
    component: mlq:preprocess
    inputs: {data: "mlq:churn@latest", target: churned}
"""


@router.post(
    "",
    status_code=201,
    response_model=Job,
    summary="Submit a job",
    responses={
        200: {"model": PlanView, "description": "Replayed by its key (the job), or a dry run."}
    },
    openapi_extra={
        **takes(
            None,
            ("application/yaml", _YAML),
            ("application/json", '{"type": "command", "command": "echo hello"}'),
        ),
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": _MAX_KEY},
                "description": "The same key and body submit one job, however often they are sent.",
            },
            {
                "name": "Mlq-Git",
                "in": "header",
                "schema": {"type": "string", "maxLength": MAX_GIT},
                "description": "What the code was submitted from, as JSON: `commit`, `branch`, "
                "`repository`, `is_dirty`, and `diff`, the digest of a blob.",
            },
            *(
                {"name": name, "in": "query", "schema": {"type": "boolean"}, "description": text}
                for name, text in (
                    ("force_rerun", "Reuse no outputs of earlier jobs."),
                    ("dry_run", "Check and answer the plan; store nothing."),
                )
            ),
        ],
    },
)
async def submit(request: Request) -> Response:
    """A job file in the Azure ML v2 schema, as YAML or JSON.

    What was answered with 2xx runs to its end, whatever is restarted on the way.
    """
    # The parameters are read by hand: this is the hot path, and it has no others.
    server = server_of(request)
    body = await request.body()
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _MAX_KEY:
        raise MlqError(f"An Idempotency-Key has 1 to {_MAX_KEY} characters.", code="invalid")
    compiled = await server.plans.compile(
        body, media_type_of(request, default=JSON_TYPE), project=project_of(request)
    )
    force_rerun = _flag(request, "force_rerun")
    if _flag(request, "dry_run"):
        reused = await server.read(
            _foresee,
            compiled.blueprint,
            force_rerun=force_rerun,
            project=project_of(request) or DEFAULT,
        )
        return json_response(_plan_view(compiled.blueprint.plan, reused))
    git = git_of(request)
    submitted, view = await server.write(
        _submit,
        compiled.blueprint,
        actor=principal_of(request).name,
        windows=server.windows,
        key=None if key is None else Idempotency(key, compiled.digest),
        force_rerun=force_rerun,
        project=project_of(request),
        git=git,
    )
    server.publish(submitted.deliveries)
    if submitted.rows is not None:
        view = submitted_tree(submitted.rows, compiled.blueprint.plan, git=git)
    return json_response(
        view,
        status=201 if submitted.created else 200,
        headers={"location": f"/v1/jobs/{submitted.job_id}"},
    )


def _submit(
    conn: Connection,
    blueprint: Blueprint,
    *,
    actor: str,
    windows: Windows,
    key: Idempotency | None,
    force_rerun: bool,
    project: str | None,
    git: GitRecord | None,
) -> tuple[Submitted, dict[str, Any] | None]:
    submitted = service.submit_drawn(
        conn,
        blueprint,
        actor=actor,
        windows=windows,
        idempotency_key=key,
        force_rerun=force_rerun,
        project=project,
        git=git,
    )
    if submitted.rows is None:
        return submitted, job_tree(conn, submitted.job_id, depth=1)
    return submitted, None


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in {"true", "false", "1", "0"}:
        raise MlqError(f"{name} is true or false.", code="invalid")
    return text in {"true", "1"}


def _foresee(
    conn: Connection, blueprint: Blueprint, *, force_rerun: bool, project: str
) -> dict[int, str]:
    found = service.resolve_assets(conn, blueprint.plan, project=project)
    if force_rerun or blueprint.plan.force_rerun:
        return {}
    return foresee_reuse(conn, blueprint, found, project=project)


def _plan_view(plan: Plan, reused: Mapping[int, str]) -> dict[str, Any]:
    return {
        "type": plan.type,
        "display_name": plan.display_name,
        "experiment_name": plan.experiment,
        "jobs": [
            {
                "path": job.path,
                "name": job.name,
                "type": job.type,
                "component": job.component,
                "compute": job.compute,
                "upstreams": [plan.jobs[index].path for index in job.upstreams],
                "reuses": reused.get(job.index),
            }
            for job in plan.jobs
        ],
        "assets": list(plan.assets),
        "warnings": list(plan.warnings),
    }


@router.get("", response_model=Page[Job], summary="List jobs, newest first")
async def list_jobs(
    request: Request,
    state: State | None = None,
    experiment: Annotated[str | None, Query(max_length=255)] = None,
    name: Annotated[str | None, Query(max_length=255)] = None,
    parent: Annotated[str, Query(max_length=255, description="`none`, `any` or a job.")] = "none",
    archived: Annotated[bool, Query(description="Archived ones too.")] = False,
    metric: Annotated[
        list[_MetricName] | None,
        Query(
            max_length=_MOST_METRICS,
            description="Metrics of steps to tell with the jobs that have them: `accuracy`, or "
            "`evaluate.accuracy` of that step.",
        ),
    ] = None,
    where: Annotated[
        list[_Condition] | None,
        Query(
            max_length=_MOST_METRICS,
            description="Only jobs with such a latest value, of their own or of a step: "
            "`accuracy>0.9`, `evaluate.loss<=0.2`. Operators: `>` `>=` `<` `<=` `=` `!=`.",
        ),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Roots by default; `parent=any` lists steps as well. Children are not included.

    `metrics` are a job's own; with `metric` also those of its steps, of a sweep its best trial's.
    """
    project = project_of(request)
    before = parse_id(cursor) if cursor else None
    if cursor and before is None:
        raise bad_cursor()

    measured = [_condition_of(one) for one in where or ()]

    def read(conn: Connection) -> dict[str, Any]:
        below = parent if parent in {"none", "any"} else query.find(conn, parent, project=project)
        rows = query.page(
            conn,
            limit=limit + 1,
            before=before,
            parent=below,
            state=state,
            experiment=experiment,
            name=name,
            archived=archived,
            project=project,
            measured=measured,
        )
        views = job_views(conn, rows, of_steps=metric or ())
        return page_of(views, limit=limit, cursors=[row["id"] for row in rows])

    return json_response(await server_of(request).read(read))


def _condition_of(words: str) -> tuple[str, str, float]:
    """(metric, operator, value). Raises MlqError (code `invalid`)."""
    found = _CONDITION.fullmatch(words)
    try:
        if found and math.isfinite(value := float(found["value"])):
            return found["name"], found["op"], value
    except ValueError:
        pass
    raise MlqError(
        f"'{words}' is no condition on a metric.",
        code="invalid",
        hint="Such as accuracy>0.9, or evaluate.loss<=0.2 of that step.",
    )


@router.get("/{ref}", response_model=Job, summary="Show a job")
async def show(
    request: Request,
    ref: Ref,
    depth: Annotated[int, Query(ge=0, le=MAX_DEPTH, description="Levels of children.")] = 1,
) -> Response:
    """A job with its children, steps in order."""

    def read(conn: Connection) -> dict[str, Any]:
        return job_tree(conn, query.find(conn, ref), depth=depth)

    return json_response(await server_of(request).read(read))


@router.get("/{ref}/children", response_model=Page[Job], summary="List a job's children")
async def children(
    request: Request, ref: Ref, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Children by their order, upstreams first; of a sweep its trials, by number."""
    after = number_of(cursor)

    def read(conn: Connection) -> dict[str, Any]:
        parent = query.find(conn, ref)
        rows = query.children(conn, [parent], limit=limit + 1, after=-1 if after is None else after)
        views = job_views(conn, rows)
        return page_of(views, limit=limit, cursors=[row["ordinal"] for row in rows])

    return json_response(await server_of(request).read(read))


@router.post("/{ref}/cancel", response_model=Job, summary="Cancel a job")
async def cancel(request: Request, ref: Ref) -> Response:
    """It and everything below it end; a running step is stopped within a second or so."""
    return await _change(request, ref, "cancel")


@router.post("/{ref}/resume", response_model=Job, summary="Run again what did not succeed")
async def resume(request: Request, ref: Ref) -> Response:
    """Only of a whole job that has ended (409 otherwise); what succeeded is kept.

    A paused sweep goes on instead.
    """
    return await _change(request, ref, "resume")


@router.post(
    "/{ref}/move",
    response_model=Job,
    summary="Change a waiting job's place",
    openapi_extra=takes(Move),
)
async def move(request: Request, ref: Ref) -> Response:
    """Another priority, or another place among those of its priority; of whole jobs."""
    server, principal = server_of(request), principal_of(request)
    wanted = parse(Move, await request.body())
    project = project_of(request)

    def write(conn: Connection) -> dict[str, Any]:
        job_id = query.find(conn, ref)
        before = None
        if wanted.before is not None:
            before = query.find(conn, wanted.before, project=project)
        ordering.move(
            conn,
            job_id,
            priority=wanted.priority,
            to=wanted.to,
            before=before,
            actor=principal.name,
        )
        return job_tree(conn, job_id, depth=1)

    return json_response(await server.write(write))


@router.post("/{ref}/archive", response_model=Job, summary="Leave a finished job out of lists")
async def archive(request: Request, ref: Ref) -> Response:
    """It stays where it is, and `archived=true` lists it."""
    return await _change(request, ref, "archive")


async def _change(
    request: Request, ref: str, act: Literal["cancel", "resume", "archive"]
) -> Response:
    server, actor = server_of(request), principal_of(request).name

    def write(conn: Connection) -> tuple[list[Delivery], dict[str, Any]]:
        job_id = query.find(conn, ref)
        deliveries: list[Delivery] = []
        if act == "cancel":
            deliveries = service.cancel(conn, job_id, actor=actor, windows=server.windows)
        elif act == "resume":
            deliveries = steering.resume(conn, job_id, actor=actor, windows=server.windows)
        else:
            service.archive(conn, job_id, actor=actor)
        return deliveries, job_tree(conn, job_id, depth=1)

    deliveries, view = await (server.write_first if act == "cancel" else server.write)(write)
    server.publish(deliveries)
    return json_response(view)


@router.get("/{ref}/metrics", response_model=Page[Metric], summary="Everything a job measured")
async def metrics(
    request: Request,
    ref: Ref,
    key: Annotated[str | None, Query(max_length=255)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    cursor: Cursor = None,
) -> Response:
    """Values in the order they were logged; a job's `metrics` are the latest of each."""
    after = number_of(cursor) or 0

    def read(conn: Connection) -> dict[str, Any]:
        job_id = query.find(conn, ref)
        rows = query.metric_history(conn, job_id, limit=limit + 1, after=after, key=key)
        return page_of(
            [metric_view(row) for row in rows], limit=limit, cursors=[row["id"] for row in rows]
        )

    return json_response(await server_of(request).read(read))


@router.get("/{ref}/usage", response_model=Usage, summary="What a command used of its machine")
async def usage(
    request: Request,
    ref: Ref,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """CPU, memory and GPUs of an attempt, also of a live one; of the last measured by default.

    404 where none was: of jobs that are no commands, and of commands that took under a second.
    """

    def read(conn: Connection) -> dict[str, Any]:
        job_id = query.find(conn, ref)
        found = measured.find(conn, job_id, attempt=attempt)
        if found is None:
            raise NotFoundError(
                "Nothing was measured of this job.",
                hint="Commands are measured that run for over a second.",
            )
        return usage_view(*found)

    return json_response(await server_of(request).read(read))


@router.get(
    "/{ref}/spec",
    summary="The document as it was submitted",
    responses=content("application/yaml", example=_YAML),
    response_class=Response,
)
async def spec(request: Request, ref: Ref) -> Response:
    """Of the root, whichever of its jobs is named; in the media type it came in."""

    def read(conn: Connection) -> tuple[str, str]:
        row = query.read(conn, query.find(conn, ref))
        stored = query.spec(conn, row["root_id"])
        return stored.get("document", ""), stored.get("media_type", JSON_TYPE)

    document, media_type = await server_of(request).read(read)
    return Response(document.encode(), media_type=media_type)


@router.get(
    "/{ref}/diff",
    summary="How its code differed from the commit",
    responses=content("application/octet-stream", example="diff --git a/train.py b/train.py"),
    response_class=Response,
)
async def diff(request: Request, ref: Ref) -> Response:
    """Of the root, as git writes it; 404 where there is none."""
    server = server_of(request)

    def read(conn: Connection) -> GitRecord | None:
        row = query.read(conn, query.find(conn, ref))
        return job_git.find(conn, row["root_id"])

    found = await server.read(read)
    if found is None or found.diff is None:
        why = "git does not know its code" if found is None else "its code was that of the commit"
        raise NotFoundError(f"Job '{ref:.80}' has no difference to show: {why}.")
    return await send_blob(server, found.diff, file_name="code.diff")

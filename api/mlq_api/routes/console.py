"""The pages: login, overview, a job, the API's operations."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from starlette.responses import RedirectResponse

from mlq.db.queries import jobs as query
from mlq.db.queries import queues as queue_query
from mlq.errors import MlqError, NotFoundError, TooManyFailuresError, UnauthorizedError
from mlq.service import endpoints, models
from mlq.service.tokens import SESSION_LIFETIME_S, close_session, open_session
from mlq_api import pages
from mlq_api.access import BY_METHOD, OPEN, VIEWER, project_of
from mlq_api.auth import COOKIE, token_of
from mlq_api.console import shell
from mlq_api.pages import Markup, heading, job_rows, link, page, table
from mlq_api.problems import status_of
from mlq_api.server import server_of
from mlq_api.views import job_tree, job_views

_MAX_FIELDS = 8
router = APIRouter(include_in_schema=False)

_SHOWN = 25
_FORM = Markup(
    '<form method="post"><p><input name="token" type="password" autofocus required '
    'autocomplete="current-password" placeholder="Token"> <button>Log in</button></p></form>'
    "<p>Paste a token: <code>mlq up</code> keeps its own in <code>token</code> below its home "
    "folder (<code>~/.mlq</code>), <code>mlq token create</code> makes others.</p>"
)


@router.get("/login", dependencies=[OPEN])
async def login(request: Request) -> Response:
    """A form for a token, or at once a session for the link that `mlq up` prints."""
    token = request.query_params.get("token")
    return await _log_in(request, token) if token else _login_page()


@router.post("/login", dependencies=[OPEN])
async def login_with_form(request: Request) -> Response:
    """The form's token."""
    try:
        form = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=_MAX_FIELDS)
    except ValueError:  # strangers get here: what is no form of ours costs next to nothing
        form = {}
    return await _log_in(request, form.get("token", [""])[0].strip())


async def _log_in(request: Request, token: str) -> Response:
    server = server_of(request)
    try:
        session = await server.write(open_session, token)
    except UnauthorizedError as error:
        return _login_page(server.failed_logins.count(request.scope, error))
    target = request.query_params.get("next", "/")
    if not target.startswith("/") or target.startswith(("//", "/\\")):
        target = "/"  # a link must not lead elsewhere
    response = RedirectResponse(_root(request) + target, status_code=303)
    response.headers["cache-control"] = "no-store"
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=int(SESSION_LIFETIME_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path=_root(request) or "/",
    )
    return response


def _login_page(error: UnauthorizedError | None = None) -> Response:
    if error is None:
        return page("mlq: log in", _FORM, navigation=False)
    told = Markup(f"<p class=failed>{pages.text(f'{error.message} {error.hint}')}</p>")
    answer = page("mlq: log in", told, _FORM, navigation=False, status=status_of(error))
    if isinstance(error, TooManyFailuresError):
        answer.headers["retry-after"] = str(error.retry_after_s)
    return answer


@router.post("/logout", dependencies=[VIEWER])
async def logout(request: Request) -> Response:
    """End the session."""
    server = server_of(request)
    await server.write(close_session, token_of(request.headers))
    server.principals.forget()
    response = RedirectResponse(f"{_root(request)}/login", status_code=303)
    response.delete_cookie(COOKIE, path=_root(request) or "/")
    return response


@router.get("/", dependencies=[BY_METHOD])
async def overview(request: Request) -> Response:
    """The newest jobs, queues, models and endpoints."""
    if (document := shell(request)) is not None:
        return document
    project = project_of(request)

    def read(conn: Connection) -> tuple[Any, ...]:
        jobs = job_views(conn, query.page(conn, limit=_SHOWN, project=project))
        return (
            jobs,
            queue_query.queues(conn),
            models.list_models(conn, limit=_SHOWN, project=project),
            endpoints.list_endpoints(conn, limit=_SHOWN, project=project),
        )

    jobs, queues, registered, served = await server_of(request).read(read)
    return page(
        "Overview",
        heading("Jobs"),
        table(
            ("job", "state", "duration", "metrics", "by", "at"),
            job_rows(jobs, root=_root(request)),
            empty="None yet: `mlq demo` shows the whole loop, `mlq job create -f FILE` starts one.",
        ),
        heading("Queues"),
        table(
            ("compute", "queued", "running", "slots", "workers"),
            [(row.compute, row.queued, row.running, row.slots, row.workers) for row in queues],
            empty="No worker yet: `mlq worker -Q cpu` starts one.",
        ),
        heading("Models"),
        table(
            ("model", "newest", "aliases"),
            [
                (
                    row.name,
                    row.latest_version,
                    ", ".join(f"{alias} → {version}" for alias, version in row.aliases.items()),
                )
                for row in registered
            ],
            empty="None yet.",
        ),
        heading("Endpoints"),
        table(
            ("endpoint", "deployments"),
            [
                (
                    row.name,
                    ", ".join(
                        f"{one.name}: {one.model} ({row.traffic.get(one.name, 0)} %)"
                        for one in row.deployments
                    ),
                )
                for row in served
            ],
            empty="None yet.",
        ),
        root=_root(request),
    )


@router.get("/jobs/{ref}", dependencies=[BY_METHOD])
async def job_page(request: Request, ref: str) -> Response:
    """A job, its steps, its inputs and outputs."""
    if (document := shell(request)) is not None:
        return document
    root, project = _root(request), project_of(request)

    def read(conn: Connection) -> dict[str, Any]:
        return job_tree(conn, query.find(conn, ref, project=project), depth=1)

    try:
        job = await server_of(request).read(read)
    except (NotFoundError, MlqError) as error:
        return page("No such job", f"{error.message} {error.hint}", root=root, status=404)
    parts: list[object] = [Markup(f"<p>{pages.state(job)} {pages.seconds(job['duration_s'])}</p>")]
    if job["error"]:
        parts.append(Markup(f"<pre>{pages.text(job['error'].get('message'))}</pre>"))
    if job.get("children"):
        columns = ("step", "state", "duration", "metrics", "worker", "at")
        parts += [
            heading("Steps"),
            table(columns, job_rows(job["children"], root=root), empty=""),
        ]
    if job["parent_id"]:
        parent = link(f"{root}/jobs/{job['parent_id']}", "its parent")
        parts.append(Markup(f"<p>Part of {parent}.</p>"))
    for words, values in (("Metrics", job["metrics"]), ("Inputs", job["inputs"])):
        if values:
            rows = [(name, _short(value)) for name, value in values.items()]
            parts += [heading(words), table(("name", "value"), rows, empty="")]
    if job["outputs"]:
        rows = [
            (name, link(f"{root}{output['url']}", output.get("name") or name))
            if "url" in output
            else (name, _short(output.get("value")))
            for name, output in job["outputs"].items()
        ]
        parts += [heading("Outputs"), table(("name", "value"), rows, empty="")]
    address = f"{root}/v1/jobs/{job['id']}"
    parts.append(
        Markup(f"<p>{link(f'{address}/logs', 'Log')} · {link(f'{address}/spec', 'Job file')}")
        + Markup(f" · {link(address, 'JSON')} · <span class=id>{pages.text(job['id'])}</span></p>")
    )
    return page(job["path"] or job["display_name"] or job["name"], *parts, root=root)


@router.get("/docs", dependencies=[BY_METHOD])
async def docs(request: Request) -> Response:
    """Every operation, from `/openapi.json`."""
    document = request.app.openapi()
    rows = [
        (Markup(f"<code>{method.upper()} {pages.text(path)}</code>"), operation["summary"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    root = _root(request)
    return page(
        "API",
        Markup(f"<p>The whole description: {link(f'{root}/openapi.json', 'openapi.json')}.</p>"),
        table(("operation", "what it does"), rows, empty=""),
        root=root,
    )


def _short(value: object) -> str:
    words = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    return words if len(words) <= 200 else words[:199] + "…"


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root

"""What a route asks of its caller, said where the route is made.

Every router, or each of its routes, names one of these dependencies. `AuthMiddleware` has decided
on the role by then; the declaration says what was meant, and a test compares the two for every
route, so that none is open by accident.

Those of objects (OF_JOB, OF_MODEL, …) also keep a caller whose token is for one project away from
objects of others, whatever the method: these look as if they were not there. What is left to a
route is to filter its lists by `project_of(request)` and to pass it on where something is made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Depends, Request

from mlq.db.queries import jobs as job_query
from mlq.errors import NotFoundError
from mlq.service import projects
from mlq.spec import BUILTIN, parse_component
from mlq_api.auth import admin_only, principal_of
from mlq_api.server import server_of


async def open_to_all() -> None:
    """Anybody, without a token."""


async def by_signature() -> None:
    """Whoever can sign the body: the route checks that itself."""


async def by_viewers() -> None:
    """Any token: whatever the method, nothing of the installation changes."""


async def by_method() -> None:
    """Reading needs a viewer, every other method a submitter."""


def project_of(request: Request) -> str | None:
    """The project that a caller's token is for; None where it reaches all of them.

    A token that reaches all may choose one by the header `Mlq-Project`.
    """
    return principal_of(request).project


async def of_job(request: Request) -> None:
    """By method; a path's `ref` becomes the id of a job that the caller may see.

    Raises NotFoundError, also for other projects' jobs.
    """
    project = project_of(request)
    ref = request.path_params.get("ref")
    if project is not None and ref is not None:
        found = await server_of(request).read(job_query.find, ref, project=project)
        request.path_params["ref"] = found


def _of_name(
    kind: str, *, creates: frozenset[str] = frozenset()
) -> Callable[[Request], Awaitable[None]]:
    """creates: methods by which a name comes into use; `projects.own_name` decides on it then."""

    async def of_name(request: Request) -> None:
        project = project_of(request)
        name = request.path_params.get("name")
        if project is None or name is None:
            return
        try:
            await server_of(request).read(projects.require_name, kind, name, project)
        except NotFoundError:
            is_new = request.method in creates and not await server_of(request).read(
                projects.is_taken, kind, name
            )
            if not is_new:
                raise

    return of_name


of_data = _of_name("data", creates=frozenset({"POST"}))
of_model = _of_name("model", creates=frozenset({"POST"}))
of_endpoint = _of_name("endpoint")
of_batch = _of_name("batch", creates=frozenset({"PUT"}))
of_environment = _of_name("environment")
of_schedule = _of_name("schedule", creates=frozenset({"PUT"}))


async def of_component(request: Request) -> None:
    """By method; built-in components are everybody's."""
    project, name = project_of(request), request.path_params.get("name")
    if project is None or name is None:
        return
    full = name if name.startswith(("mlq:", "azureml:")) else f"mlq:{name}"
    found, _ = parse_component(full)
    if found not in BUILTIN:
        bare = found.removeprefix("mlq:")
        await server_of(request).read(projects.require_name, "component", bare, project)


OPEN = Depends(open_to_all)
SIGNED = Depends(by_signature)
VIEWER = Depends(by_viewers)
BY_METHOD = Depends(by_method)
ADMIN = Depends(admin_only)
OF_JOB = Depends(of_job)
OF_DATA = Depends(of_data)
OF_MODEL = Depends(of_model)
OF_ENDPOINT = Depends(of_endpoint)
OF_SCHEDULE = Depends(of_schedule)
OF_BATCH = Depends(of_batch)
OF_COMPONENT = Depends(of_component)
OF_ENVIRONMENT = Depends(of_environment)

#: The dependencies of which every route has at least one.
DECLARATIONS = (
    open_to_all,
    by_signature,
    by_viewers,
    by_method,
    admin_only,
    of_job,
    of_data,
    of_model,
    of_endpoint,
    of_schedule,
    of_batch,
    of_component,
    of_environment,
)
#: Where an address names an object, the dependency that keeps other projects away from it.
OBJECTS = {
    "/v1/jobs/{ref}": of_job,
    "/v1/approvals/{ref}": of_job,
    "/v1/data/{name}": of_data,
    "/v1/models/{name}": of_model,
    "/v1/endpoints/{name}": of_endpoint,
    "/v1/schedules/{name}": of_schedule,
    "/v1/batch-endpoints/{name}": of_batch,
    "/v1/components/{name}": of_component,
    "/v1/environments/{name}": of_environment,
    "/endpoints/{name}/score": of_endpoint,
    "/endpoints/{name}/feedback": of_endpoint,
}

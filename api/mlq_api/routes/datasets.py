"""`/v1/data` by address and by content: import, preview, profile, difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from mlq.artifacts import sources
from mlq.db.registry import DataVersion as Row
from mlq.errors import MlqError
from mlq.service import data as service
from mlq.service import imports
from mlq.service.names import check_name
from mlq_api.access import OF_DATA, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.data_schemas import DataDifference, DataPreview, DataProfile, NewDataImport
from mlq_api.operations import PROBLEMS, Name, takes
from mlq_api.routes.data import version_view
from mlq_api.schemas import DataVersion
from mlq_api.server import Server, server_of
from mlq_api.wire import json_response

router = APIRouter(prefix="/v1/data", tags=["data"], responses=PROBLEMS, dependencies=[OF_DATA])
T = TypeVar("T")


@router.post(
    "/{name}/import",
    status_code=201,
    response_model=DataVersion,
    responses={200: {"model": DataVersion, "description": "These bytes are a version already."}},
    summary="Add a version of a dataset from an address",
    openapi_extra=takes(NewDataImport),
)
async def import_version(request: Request, name: Name) -> Response:
    """Read by this server, once. Public web addresses, and what MLQ_DATA_URLS allows.

    Without copy the bytes stay where they are: readers see to it that they are still the same.
    """
    server = server_of(request)
    check_name(name, what="data asset")
    new = parse(NewDataImport, await request.body())
    source = sources.allow(new.url, server.settings.data_urls)
    found = await server.datasets.call(
        imports.read_source,
        server.store,
        source,
        copy=new.keep,
        max_bytes=server.settings.max_upload_bytes,
    )
    made, is_new = await server.write(
        service.create_version,
        name=name,
        digest=found.digest,
        type=found.type,
        file_name=new.file_name or found.file_name,
        size_bytes=found.size_bytes,
        actor=principal_of(request).name,
        description=new.description,
        tags=new.tags,
        version=new.version,
        project=project_of(request),
        source=source.shown,
    )
    return json_response(
        version_view(made),
        status=201 if is_new else 200,
        headers={"location": f"/v1/data/{made.name}/versions/{made.version}"},
    )


@router.get(
    "/{name}/versions/{version}/preview",
    response_model=DataPreview,
    summary="Show the first rows of a version",
)
async def preview(
    request: Request, name: Name, version: Name, rows: Annotated[int, Query(ge=1, le=1000)] = 20
) -> Response:
    """Of CSV, Parquet, Arrow and JSON lines; of a folder, its tables by their names."""
    server = server_of(request)
    found = await _find(server, name, version)
    return json_response(await server.datasets.call(_with_science, _preview, server, found, rows))


@router.get(
    "/{name}/versions/{version}/profile",
    response_model=DataProfile,
    summary="Profile the columns of a version",
)
async def profile(request: Request, name: Name, version: Name) -> Response:
    """Types, missing and distinct values, quantiles, histograms, the most frequent values."""
    server = server_of(request)
    found = await _find(server, name, version)
    return json_response(await server.datasets.call(_with_science, _profile, server, found))


@router.get(
    "/{name}/versions/{version}/diff",
    response_model=DataDifference,
    summary="Compare a version with an earlier one",
)
async def difference(
    request: Request,
    name: Name,
    version: Name,
    base: Annotated[str, Query(max_length=255, description="The earlier version's number.")],
) -> Response:
    """Schema, rows, and the drift of each column."""
    server = server_of(request)
    after, before = await _find(server, name, version), await _find(server, name, base)
    compared = await server.datasets.call(_with_science, _compare, server, before, after)
    named = {"before": before.id, "after": after.id, "identical": before.digest == after.digest}
    return json_response(named | compared)


async def _find(server: Server, name: str, version: str) -> Row:
    def read(conn: Connection) -> Row:
        return service.find(conn, name, version=version)

    return await server.read(read)


def _preview(server: Server, version: Row, rows: int) -> dict[str, Any]:
    from mlq.datasets import profile

    return profile.preview(server.store.fetch(version.digest, kind=version.kind), rows=rows)


def _profile(server: Server, version: Row) -> dict[str, Any]:
    from mlq.datasets import profile

    return profile.profile(server.store.fetch(version.digest, kind=version.kind)).view()


def _compare(server: Server, before: Row, after: Row) -> dict[str, Any]:
    from mlq.datasets import difference, profile

    paths = [server.store.fetch(one.digest, kind=one.kind) for one in (before, after)]
    return difference.compare(profile.profile(paths[0]), profile.profile(paths[1]))


def _with_science(work: Callable[..., T], *args: Any) -> T:
    try:
        return work(*args)
    except ImportError as error:
        raise MlqError(
            f"This server cannot read tables: {error}.",
            code="not_installed",
            hint="Install mlq-platform[serve] on the server.",
        ) from None

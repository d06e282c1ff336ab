"""`/v1/components`: step definitions that job files name, built in and registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db.definitions import COMPONENTS
from mlq.db.projects import DEFAULT
from mlq.service import components as service
from mlq.spec import BUILTIN, Component, Port, outline_component, parse_component, read_document
from mlq_api.access import OF_COMPONENT, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import media_type_of
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, number_of, takes
from mlq_api.plans import JSON_TYPE
from mlq_api.schemas import Component as View
from mlq_api.schemas import Page
from mlq_api.server import server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/components", tags=["components"], responses=PROBLEMS, dependencies=[OF_COMPONENT]
)

_EXAMPLE = """\
type: command
name: count_lines
inputs: {text: {type: uri_file}}
outputs: {count: {type: uri_file}}
command: wc -l < ${{inputs.text}} > ${{outputs.count}}
"""


@router.get("", response_model=Page[View], summary="List components")
async def list_components(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """Those that are registered, each with its latest version; before them the built-in ones."""
    found = await server_of(request).read(
        COMPONENTS.page, limit=limit + 1, after=cursor, project=project_of(request)
    )
    page = page_of(
        [_registered(row) for row in found], limit=limit, cursors=[row["name"] for row in found]
    )
    if cursor is None:
        page["items"] = [*(_view(one) for _, one in sorted(BUILTIN.items())), *page["items"]]
    return json_response(page)


@router.post(
    "",
    status_code=201,
    response_model=View,
    responses={200: {"model": View, "description": "A version says this already."}},
    summary="Register a component",
    openapi_extra=takes(None, ("application/yaml", _EXAMPLE), ("application/json", "{}")),
)
async def create(request: Request) -> Response:
    """A component file in the Azure ML v2 schema; its steps' components are pinned.

    The version is the file's own, else the next number; what a version says never changes.
    """
    server = server_of(request)
    media_type = media_type_of(request, default=JSON_TYPE)
    document = read_document(await request.body(), media_type=media_type)
    row, is_new = await server.write(
        service.create,
        document,
        actor=principal_of(request).name,
        project=project_of(request) or DEFAULT,
    )
    return json_response(
        _registered(row, whole=True),
        status=201 if is_new else 200,
        headers={"location": f"/v1/components/{row['name']}?version={row['version']}"},
    )


@router.get("/{name}", response_model=View, summary="Show a component")
async def show(
    request: Request,
    name: Name,
    version: Annotated[
        str, Query(max_length=255, description="`latest`, or a version.")
    ] = "latest",
) -> Response:
    """`train` and `azureml:train` mean `mlq:train`; `NAME:VERSION` and `NAME@latest` work, too."""
    bare, written = _split(name)
    builtin = BUILTIN.get(f"mlq:{bare}")
    if builtin is not None:
        return json_response(_view(builtin))
    row = await server_of(request).read(service.find, bare, version=written or version)
    return json_response(_registered(row, whole=True))


@router.get("/{name}/versions", response_model=Page[View], summary="List a component's versions")
async def versions(
    request: Request, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Latest first."""
    bare, _ = _split(name)
    builtin = BUILTIN.get(f"mlq:{bare}")
    if builtin is not None:
        return json_response({"items": [_view(builtin)], "next_cursor": None})
    before = number_of(cursor)

    def read(conn: Connection) -> Sequence[RowMapping]:
        service.find(conn, bare)
        return COMPONENTS.page_versions(conn, bare, limit=limit + 1, before=before)

    found = await server_of(request).read(read)
    return json_response(
        page_of(
            [_registered(row) for row in found],
            limit=limit,
            cursors=[row["ordinal"] for row in found],
        )
    )


def _split(name: str) -> tuple[str, str | None]:
    """Name and version of what `mlq:NAME:VERSION` and the like stand for."""
    full = name if name.startswith(("mlq:", "azureml:")) else f"mlq:{name}"
    found, version = parse_component(full)
    return found.removeprefix("mlq:"), version


def _registered(row: RowMapping, *, whole: bool = False) -> dict[str, Any]:
    outline = outline_component(
        row["definition"], name=f"mlq:{row['name']}", version=row["version"]
    )
    view = {
        **_view(outline),
        "id": f"mlq:{row['name']}:{row['version']}",
        "created_by": row["created_by"],
        "created_at": iso(row["created_at"]),
    }
    return {**view, "definition": row["definition"]} if whole else view


def _view(one: Component) -> dict[str, Any]:
    return {
        "id": one.name,
        "name": one.name,
        "version": one.version,
        "description": one.description,
        "inputs": {name: _port_view(port) for name, port in one.inputs.items()},
        "outputs": {name: _port_view(port) for name, port in one.outputs.items()},
        "open_inputs": one.open_inputs,
        "is_deterministic": one.is_deterministic,
    }


def _port_view(port: Port) -> dict[str, Any]:
    view = asdict(port)
    del view["check"]  # code
    return view

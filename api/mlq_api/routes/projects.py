"""`/v1/projects`: what keeps teams apart."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from mlq.db import projects as table
from mlq.service import projects as service
from mlq_api.access import ADMIN, BY_METHOD, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, takes
from mlq_api.schemas import Page
from mlq_api.server import server_of
from mlq_api.wire import json_response

router = APIRouter(
    prefix="/v1/projects", tags=["tokens"], responses=PROBLEMS, dependencies=[BY_METHOD]
)


class Project(BaseModel):
    """A project: jobs, data, models and endpoints that tokens of others do not reach."""

    name: str = Field(min_length=1, max_length=64, examples=["fraud"])


@router.get("", response_model=Page[Project], summary="List projects")
async def list_projects(request: Request) -> Response:
    """By name, `default` first; a token for one project sees that one only."""
    project = project_of(request)

    def read(conn: Connection) -> list[str]:
        return [table.DEFAULT, *(row["name"] for row in table.list_all(conn))]

    names = [project] if project is not None else await server_of(request).read(read)
    return json_response({"items": [{"name": name} for name in names], "next_cursor": None})


@router.post(
    "",
    status_code=201,
    response_model=Project,
    summary="Make a project",
    dependencies=[ADMIN],
    openapi_extra=takes(Project),
)
async def create(request: Request) -> Response:
    """Then make tokens for it: `POST /v1/tokens` with its name."""
    server, actor = server_of(request), principal_of(request).name
    new = parse(Project, await request.body())
    await server.write(service.create, new.name, actor=actor)
    return json_response({"name": new.name}, status=201)

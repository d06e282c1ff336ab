"""`/v1/demo`: the files of the demo, so that the console can tell its story too."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from mlq.data import demo_file
from mlq_api.access import BY_METHOD
from mlq_api.operations import PROBLEMS, Name, content

router = APIRouter(prefix="/v1", tags=["data"], responses=PROBLEMS, dependencies=[BY_METHOD])


@router.get(
    "/demo/{name}",
    summary="A file of the demo",
    responses=content("text/plain", example="species,island,…", description="The file."),
    response_class=Response,
)
async def show(request: Request, name: Name) -> Response:
    """`penguins-2007-2008.csv`, `penguins.csv` (all years), and `penguins.yml`, the pipeline."""
    file = await run_in_threadpool(demo_file, name)
    return Response(await run_in_threadpool(file.read_bytes), media_type="text/plain")

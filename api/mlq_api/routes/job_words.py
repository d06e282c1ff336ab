"""`/v1/job-words`: what a list of jobs can be asked for."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from mlq.db.queries import columns
from mlq_api.access import OF_JOB, project_of
from mlq_api.operations import PROBLEMS
from mlq_api.schemas import JobWords
from mlq_api.server import server_of
from mlq_api.wire import json_response

router = APIRouter(prefix="/v1", tags=["jobs"], responses=PROBLEMS, dependencies=[OF_JOB])


@router.get("/job-words", response_model=JobWords, summary="Words to filter jobs by")
async def job_words(request: Request) -> Response:
    """Names, experiments and metrics of the newest 500 jobs, for forms that complete them."""
    found = await server_of(request).read(columns.recent_words, project=project_of(request))
    return json_response(found)

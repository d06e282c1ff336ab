"""`/v1/approvals`: steps that wait for a person, and what people decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from mlq.db.window import Delivery
from mlq.ids import parse_id
from mlq.service import approvals as service
from mlq.service.approvals import Approval
from mlq_api.access import OF_JOB, project_of
from mlq_api.approval_schemas import ApprovalView, Decision
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, Cursor, Limit, Ref, bad_cursor, takes
from mlq_api.schemas import Job, Page
from mlq_api.server import server_of
from mlq_api.views import job_tree, page_of
from mlq_api.wire import iso, json_response

router = APIRouter(tags=["approvals"], responses=PROBLEMS, dependencies=[OF_JOB])


@router.get("/v1/approvals", response_model=Page[ApprovalView], summary="What waits for a person")
async def list_approvals(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """The oldest first, with the numbers of the steps before."""
    after = parse_id(cursor) if cursor else None
    if cursor and after is None:
        raise bad_cursor()
    found = await server_of(request).read(
        service.list_waiting, limit=limit + 1, after=after, project=project_of(request)
    )
    return json_response(
        page_of(
            [_view(one) for one in found], limit=limit, cursors=[one.job["id"] for one in found]
        )
    )


@router.get("/v1/approvals/{ref}", response_model=ApprovalView, summary="Show what is to decide")
async def show(request: Request, ref: Ref) -> Response:
    """Of an approval, or of a job in which a single one waits."""
    return json_response(_view(await server_of(request).read(service.find, ref)))


@router.post(
    "/v1/approvals/{ref}/approve",
    response_model=Job,
    summary="Approve",
    openapi_extra=takes(Decision),
)
async def approve(request: Request, ref: Ref) -> Response:
    """What comes after it goes on. Answers the approval as a job."""
    return await _decide(request, ref, is_approved=True)


@router.post(
    "/v1/approvals/{ref}/reject",
    response_model=Job,
    summary="Reject",
    openapi_extra=takes(Decision),
)
async def reject(request: Request, ref: Ref) -> Response:
    """It fails as `rejected`, what comes after is skipped. Answers the approval as a job."""
    return await _decide(request, ref, is_approved=False)


async def _decide(request: Request, ref: str, *, is_approved: bool) -> Response:
    server, principal = server_of(request), principal_of(request)
    said = parse(Decision, await request.body())

    def write(conn: Connection) -> tuple[list[Delivery], dict[str, Any]]:
        job_id, deliveries = service.decide(
            conn,
            ref,
            is_approved=is_approved,
            comment=said.comment,
            principal=principal,
            windows=server.windows,
        )
        return deliveries, job_tree(conn, job_id, depth=0)

    deliveries, view = await server.write(write)
    server.publish(deliveries)
    return json_response(view)


def _view(approval: Approval) -> dict[str, Any]:
    job = approval.job
    expires_at = None
    if job["timeout_s"] is not None:
        expires_at = job["started_at"] + timedelta(seconds=job["timeout_s"])
    return {
        "id": job["id"],
        "root_id": job["root_id"],
        "root_name": job["root_name"],
        "path": job["path"],
        "message": approval.message,
        "role": approval.role,
        "approvers": list(approval.approvers),
        "four_eyes": approval.four_eyes,
        "subject": dict(approval.subject),
        "numbers": {step: dict(values) for step, values in approval.numbers.items()},
        "submitted_by": job["root_submitted_by"],
        "waiting_since": iso(job["started_at"]),
        "expires_at": iso(expires_at),
    }

"""Decisions of people about jobs that wait for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import transitions
from mlq.db.queries import approvals as query
from mlq.db.queries import jobs as job_query
from mlq.db.recovery import database_time
from mlq.db.window import Delivery
from mlq.errors import ConflictError, ForbiddenError
from mlq.lifecycle import Reason, State
from mlq.service.capacity import Windows
from mlq.service.jobs import dispatch
from mlq.service.names import check_text
from mlq.service.tokens import Principal

#: Inputs that say how to decide; everything else is what is decided about.
_TERMS = ("message", "role", "approvers", "four_eyes")
_HANDED_ON = ("model", "version", "report")


@dataclass(frozen=True, slots=True)
class Approval:
    """A decision that is asked for.

    numbers: step -> its metrics, of the steps that its inputs come from; subject: the inputs that
    are handed on. approvers: names of tokens; empty for all of that role.
    """

    job: RowMapping
    message: str
    role: str
    approvers: tuple[str, ...]
    four_eyes: bool
    subject: Mapping[str, Any]
    numbers: Mapping[str, Mapping[str, float]]


def list_waiting(
    conn: Connection, *, limit: int, after: str | None = None, project: str | None = None
) -> list[Approval]:
    """What waits for somebody, the oldest first; project: only what belongs to it."""
    found = query.page(conn, limit=limit, after=after, project=project)
    return [_read(conn, row) for row in found]


def find(conn: Connection, reference: str) -> Approval:
    """The approval that `reference` means: its own id, or a job in which a single one waits.

    Raises NotFoundError for no such job; ConflictError where none or several wait.
    """
    job_id = job_query.find(conn, reference)
    job = job_query.read(conn, job_id)
    found = query.below(conn, job["root_id"])
    own = [row for row in found if row["id"] == job_id]
    prefix = f"{job['path']}." if job["path"] else ""
    within = own or [row for row in found if row["path"].startswith(prefix)]
    if not within:
        raise ConflictError(
            f"Nothing in job '{job['display_name']}' waits for a decision: it is {job['state']}.",
            hint="`mlq job list --state waiting --parent any` shows what does.",
        )
    if len(within) > 1:
        listed = ", ".join(f"{row['path']} ({row['id']})" for row in within)
        raise ConflictError(
            f"Several steps of job '{job['display_name']}' wait for a decision.",
            code="ambiguous",
            hint=f"Name one by its id: {listed}.",
        )
    return _read(conn, within[0])


def decide(
    conn: Connection,
    reference: str,
    *,
    is_approved: bool,
    comment: str,
    principal: Principal,
    windows: Windows,
) -> tuple[str, list[Delivery]]:
    """Approve or reject; returns the id of the approval, and the messages to publish.

    Raises ForbiddenError when the caller may not decide, ConflictError when it is decided already.
    """
    check_text(comment, what="comment")
    approval = find(conn, reference)
    _require_approver(approval, principal, is_approved=is_approved)
    job_id = approval.job["id"]
    decision = {
        "decision": "approved" if is_approved else "rejected",
        "by": principal.name,
        "comment": comment,
    }
    if is_approved:
        at = database_time(conn).isoformat().replace("+00:00", "Z")
        outputs = {
            **{name: approval.subject[name] for name in _HANDED_ON if name in approval.subject},
            "decision": {"type": "object", "value": {**decision, "at": at}},
        }
        settled = transitions.approve(
            conn, job_id, outputs=outputs, detail=decision, actor=principal.name
        )
    else:
        words = f"{principal.name} rejected it" + (f": {comment}" if comment else ".")
        settled = transitions.turn_down(
            conn,
            job_id,
            reason=Reason.REJECTED,
            error={"code": "rejected", "message": words, **decision},
            actor=principal.name,
        )
    if settled is None:
        raise ConflictError("It was decided, or canceled, a moment ago.")
    return job_id, dispatch(conn, settled.ready, windows)


def _read(conn: Connection, row: RowMapping) -> Approval:
    inputs: Mapping[str, Any] = row["inputs"] or {}
    sources = {value["job"]: None for value in inputs.values() if "job" in value}
    produced = query.outputs(conn, list(sources)) if sources else {}
    metrics = job_query.newest_metrics(conn, list(sources)) if sources else {}
    given = {
        name: value
        for name, spec in inputs.items()
        if (value := _value(spec, produced)) is not None
    }
    terms = {name: given[name].get("value") for name in _TERMS if name in given}
    return Approval(
        row,
        message=str(terms.get("message") or ""),
        role=str(terms.get("role") or "submitter"),
        approvers=_names(terms.get("approvers")),
        four_eyes=bool(terms.get("four_eyes")),
        subject={name: value for name, value in given.items() if name not in _TERMS},
        numbers={produced[job_id]["path"]: values for job_id, values in metrics.items() if values},
    )


def _value(spec: Mapping[str, Any], produced: Mapping[str, RowMapping]) -> Mapping[str, Any] | None:
    """An input as an output has it; None for what the step before did not write."""
    if "job" in spec:
        source = produced.get(spec["job"])
        outputs = (source["outputs"] or {}) if source is not None else {}
        found: Mapping[str, Any] | None = outputs.get(spec["output"])
        return found
    if "asset" in spec:
        asset = spec["asset"]
        return {"type": spec["type"], **{key: asset[key] for key in ("digest", "kind", "name")}}
    return spec if "value" in spec else None


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(name) for name in value) if isinstance(value, Sequence) else ()


def _require_approver(approval: Approval, principal: Principal, *, is_approved: bool) -> None:
    if approval.job["state"] != State.WAITING:
        raise ConflictError(f"It is {approval.job['state']}.")
    if approval.role == "admin" and not principal.may("admin"):
        raise ForbiddenError(
            f"Only an admin may decide this; '{principal.name}' is {principal.role}."
        )
    if approval.approvers and principal.name not in approval.approvers:
        raise ForbiddenError(
            f"'{principal.name}' may not decide this.",
            hint=f"Those who may: {', '.join(approval.approvers)}.",
        )
    if is_approved and approval.four_eyes and principal.name == approval.job["root_submitted_by"]:
        raise ForbiddenError(
            "Whoever submitted this job may not approve it.", hint="Ask somebody else to look."
        )

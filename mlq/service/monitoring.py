"""How the versions behind endpoints do: the truth about predictions, and reports on drift.

The result of a report:

    has_profile  whether the model package has a training profile to compare with
    features, prediction   see `mlq.models.profile.compare`; [] and None without a profile
    live         truths: rows whose truth is known; accuracy of a classifier, mae and rmse of a
                 regression over the newest of them
    breaches     what went over a limit, in words
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from mlq.db import events, leases, routing
from mlq.db import monitoring as rows
from mlq.db.monitoring import Report
from mlq.db.routing import Deployment
from mlq.service import endpoints
from mlq.service.names import invalid
from mlq.spec.monitoring import Limits, find_breaches

#: Only one replica looks at a time.
DUTY = "monitor"
LEASE_S = 60.0
MAX_TRUTHS = 1000
_MAX_ROWS = 50_000
_TEXT = 200
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_HINT = '{"items": [{"request_id": "…", "truth": ["yes"]}]}, a truth for each row of the request.'


def is_request_id(text: Any) -> bool:
    """Whether `text` may name a request."""
    return isinstance(text, str) and _REQUEST_ID.fullmatch(text) is not None


def give_feedback(conn: Connection, endpoint: str, body: Mapping[str, Any]) -> int:
    """Keep what turned out to be true; returns for how many requests.

    body: {request_id, truth}, or {items: […]} of such. A truth is a list with a value for each row
    of the request, None where it is not known, or the value itself for one row. It counts where the
    request was sampled. Raises NotFoundError; MlqError (code `invalid`).
    """
    endpoints.find(conn, endpoint)
    items = body.get("items", [body])
    if not isinstance(items, list) or not 0 < len(items) <= MAX_TRUTHS:
        raise invalid(f"Feedback has 1 to {MAX_TRUTHS} items.", hint=f"Send {_HINT}")
    truths = {}
    for place, item in enumerate(items):
        if not isinstance(item, Mapping) or not is_request_id(item.get("request_id")):
            raise invalid(
                f"items[{place}].request_id names no request: it is what the header x-request-id "
                "of the answer said.",
                hint=f"Send {_HINT}",
            )
        values = item.get("truth")
        values = values if isinstance(values, list) else [values]
        if not 0 < len(values) <= _MAX_ROWS or not all(_is_value(value) for value in values):
            raise invalid(
                f"items[{place}].truth should be a list of texts, numbers, true or false.",
                hint=f"Send {_HINT}",
            )
        kept = [values[row] for row in rows.places(len(values))]
        truths[item["request_id"]] = (item["request_id"], len(values), kept)
    rows.put_truths(conn, endpoint, list(truths.values()))
    return len(truths)


def list_samples(
    conn: Connection,
    endpoint: str,
    *,
    limit: int,
    deployment: str | None = None,
    request_id: str | None = None,
    before: int | None = None,
) -> list[Any]:
    """Requests that were sampled, newest first; see `mlq.db.monitoring.page_samples`.

    Raises NotFoundError.
    """
    endpoints.find(conn, endpoint)
    return rows.page_samples(
        conn, endpoint, limit=limit, deployment=deployment, request_id=request_id, before=before
    )


def list_reports(conn: Connection, endpoint: str) -> list[tuple[Deployment, Report | None]]:
    """Each deployment with the last report on its version. Raises NotFoundError."""
    found = endpoints.find(conn, endpoint)
    return [
        (
            one,
            None
            if one.version is None
            else rows.find_report(conn, endpoint, one.name, one.version),
        )
        for one in found.deployments
    ]


def score(truths: Iterable[Any]) -> dict[str, Any]:
    """What the truth says of predictions. truths: rows with task, predictions and truth."""
    told = right = 0
    gaps: list[float] = []
    for row in truths:
        for said, truth in zip(row.predictions, row.truth, strict=False):
            if truth is None:
                continue
            if row.task != "regression":
                told += 1
                right += _label(said) == _label(truth)
            elif isinstance(said, int | float) and isinstance(truth, int | float):
                told += 1
                gaps.append(abs(said - truth))
    if gaps:
        squares = sum(gap * gap for gap in gaps) / len(gaps)
        return {"truths": told, "mae": sum(gaps) / len(gaps), "rmse": squares**0.5}
    return {"truths": told, "accuracy": right / told} if told else {"truths": 0}


def note(
    conn: Connection,
    *,
    holder: str,
    endpoint: str,
    deployment: str,
    target: routing.Target,
    compared: Mapping[str, Any] | None,
    rows_compared: int,
    live: Mapping[str, Any],
    limits: Limits,
    is_candidate: bool,
) -> bool:
    """Store a report; False where somebody else has the duty.

    compared: None where no rows came, so that what was known of them stands. The first report over
    a limit after one that was not raises the event `endpoint.drift`, which starts schedules. One on
    the candidate of a rollout does not: the rollout has its own rules.
    """
    if leases.hold(conn, DUTY, holder=holder, lease_s=LEASE_S) is None:
        return False
    before = rows.find_report(conn, endpoint, deployment, target.version)
    if compared is None:
        known = before.result if before is not None else {}
        rows_compared = before.rows if before is not None else 0
        compared = {
            "has_profile": known.get("has_profile", False),
            "features": known.get("features", []),
            "prediction": known.get("prediction"),
        }
    result = {**compared, "live": dict(live)}
    breaches = find_breaches(limits, result, rows=rows_compared)
    was_over = before is not None and bool(before.result["breaches"])
    is_raised = bool(breaches) and not was_over and not is_candidate
    rows.add_report(
        conn,
        endpoint=endpoint,
        deployment=deployment,
        model=target.name,
        version=target.version,
        rows=rows_compared,
        result={**result, "breaches": breaches},
        is_raised=is_raised,
    )
    if is_raised:
        events.record(
            conn,
            "endpoint.drift",
            subject=f"endpoint:{endpoint}",
            actor="monitor",
            detail={"deployment": deployment, "model": target.uri, "breaches": breaches},
        )
    return True


def _is_value(value: Any) -> bool:
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return is_plain and len(str(value)) <= _TEXT


def _label(value: Any) -> str:
    """As labels of models are written: 1.0 and 1 are one, so are true and "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

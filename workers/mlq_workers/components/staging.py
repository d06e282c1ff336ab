"""mlq:test: ask a deployment about held-out rows before anybody depends on it.

Over HTTP and by its name, as a client would: the deployment may have no traffic yet.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from mlq.errors import MlqError, RejectedError, StepError
from mlq.models.package import load_package
from mlq_workers.components.base import Metric, Result, Step
from mlq_workers.components.scoring import calm
from mlq_workers.components.tables import read_table

#: Largest difference of two numbers that still are the same answer, absolute or relative: ONNX
#: sums trees in single precision.
TOLERANCE = 1e-6
#: How long the deployment may take to answer with the version: a server reads changes within a
#: second, and may have to load the model first.
LIVE_S = 60.0
_PAUSE_S = 0.1
#: Rows that are asked about one by one, for the latency; the others go in one request.
_ONE_BY_ONE = 100
_SHOWN = 5


@dataclass(slots=True)
class _Seen:
    """What came back. latencies: ms of each request of one row."""

    requests: int = 0
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def run(
    step: Step,
    *,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Compare the deployment's answers with the model's own, and time them.

    Raises RejectedError with the report as its `numbers` when an answer differs, is missing, or
    when the 95th percentile of requests of one row is above `p95_ms`; StepError when the worker
    does not know the API's address, or the version does not answer within LIVE_S.
    """
    inputs = step.inputs
    if step.open_api is None:
        raise StepError(
            "This worker does not know the API's address, through which deployments answer.",
            code="no_api",
            hint="Set MLQ_API_URL for the worker.",
        )
    model = load_package(inputs["model"])
    with calm(step.log):
        rows = read_table(inputs["data"]).head(inputs["rows"])
        model.signature.check(rows)
        expected = [_plain(value) for value in model.predict(rows)]
    known = [one.name for one in model.signature.inputs if one.name in rows.columns]
    records = _as_records(rows[known] if known else rows)
    endpoint, deployment = inputs["endpoint"], inputs["deployment"]
    with step.open_api() as client:

        def ask(asked: Sequence[dict[str, Any]]) -> Any:
            return client.endpoints.predict(endpoint, asked, deployment=deployment)

        _await_version(ask, records[:1], inputs["version"], clock=clock, sleep=sleep)
        seen = _compare(ask, records, expected, clock=clock)
    report = _report(step, seen, rows=len(records))
    file = step.scratch / "report.json"
    file.write_text(json.dumps(report, ensure_ascii=False, allow_nan=False), "utf-8")
    for name in ("p50_ms", "p95_ms"):
        if report[name] is not None:
            step.log_metric(Metric(name, report[name]))
    reasons = _reasons(report, limit_ms=inputs.get("p95_ms"))
    if reasons:
        raise RejectedError("; ".join(reasons) + ".", numbers=report)
    step.log(
        f"{inputs['version']} gave {len(records)} answers behind {endpoint}/{deployment}, all of "
        f"them the model's own; p95 {report['p95_ms']:.3g} ms."
    )
    return Result({"report": file, "version": inputs["version"]})


def _await_version(
    ask: Callable[[Sequence[dict[str, Any]]], Any],
    rows: Sequence[dict[str, Any]],
    version: str,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    deadline = clock() + LIVE_S
    while True:
        try:
            if (says := ask(rows)["model"]) == version:
                return
            found = f"{says} answers there"
        except MlqError as error:  # it may be a moment old, or still loading
            found = error.message.rstrip(".")
        if clock() > deadline:
            raise StepError(
                f"{version} did not answer within {LIVE_S:g} s: {found}.",
                code="not_deployed",
                hint="Bind `endpoint` to the output of the mlq:deploy step that deploys it.",
            )
        sleep(_PAUSE_S)


def _compare(
    ask: Callable[[Sequence[dict[str, Any]]], Any],
    records: Sequence[dict[str, Any]],
    expected: Sequence[Any],
    *,
    clock: Callable[[], float],
) -> _Seen:
    seen = _Seen()
    alone = min(_ONE_BY_ONE, len(records))
    batches = [(at, at + 1) for at in range(alone)]
    if alone < len(records):
        batches.append((alone, len(records)))
    for start, end in batches:
        seen.requests += 1
        began = clock()
        try:
            answers = ask(records[start:end])["predictions"]
        except MlqError as error:
            seen.errors.append(f"row {start + 1}: {error.message}")
            continue
        if end - start == 1:
            seen.latencies.append(1000 * (clock() - began))
        for at, (said, wanted) in enumerate(
            zip(answers, expected[start:end], strict=True), start=start
        ):
            if not _is_same(said, wanted):
                seen.differences.append(f"row {at + 1}: {said!r} and not {wanted!r}")
    return seen


def _report(step: Step, seen: _Seen, *, rows: int) -> dict[str, Any]:
    p50, p95 = (
        (float(found) for found in np.quantile(seen.latencies, [0.5, 0.95]))
        if seen.latencies
        else (None, None)
    )
    return {
        "version": 1,
        "model": step.inputs["version"],
        "endpoint": step.inputs["endpoint"],
        "deployment": step.inputs["deployment"],
        "data": step.sources.get("data"),
        "rows": rows,
        "requests": seen.requests,
        "errors": len(seen.errors),
        "differences": len(seen.differences),
        "examples": [*seen.errors[:_SHOWN], *seen.differences[:_SHOWN]],
        "p50_ms": p50,
        "p95_ms": p95,
    }


def _reasons(report: dict[str, Any], *, limit_ms: float | None) -> list[str]:
    reasons = []
    example = f", such as {report['examples'][0]}" if report["examples"] else ""
    if report["errors"]:
        reasons.append(f"{report['errors']} of {report['requests']} requests failed{example}")
    elif report["differences"]:
        reasons.append(
            f"{report['differences']} of {report['rows']} answers are not the model's own{example}"
        )
    if limit_ms is not None and report["p95_ms"] is not None and report["p95_ms"] > limit_ms:
        reasons.append(f"its p95 is {report['p95_ms']:.3g} ms, over the limit of {limit_ms:g} ms")
    return reasons


def _is_same(said: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(said, int | float):
        return math.isclose(said, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(said == wanted)


def _as_records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client would write them: JSON values, null for what is missing."""
    plain = rows.astype(object).where(rows.notna(), None)
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in plain.to_dict(orient="records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return value.isoformat() if isinstance(value, date | datetime) else value

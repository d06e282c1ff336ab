"""Why a queued leaf waits although slots are free: a limit, a quota, or a GPU's memory."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import limits
from mlq.db.projects import DEFAULT

_GIB = 1 << 30


def limit_words(
    conn: Connection, rows: Sequence[RowMapping], workers: Sequence[RowMapping]
) -> dict[str, str]:
    """job id -> why it waits, for those of the queued `rows` that a limit holds back.

    workers: that live.
    """
    quotas = {row["name"]: row for row in limits.list_all(conn, limits.PROJECT)}
    named: dict[str, RowMapping] = {}
    if any(row["demands"] for row in rows):
        named = {row["name"]: row for row in limits.list_all(conn, limits.NAMED)}
    words: dict[str, str] = {}
    for row in rows:
        demands = row["demands"] or {}
        quota = quotas.get(row["project"] or DEFAULT)
        full = [
            named[name]
            for name in demands.get("limits", ())
            if name in named and named[name]["in_use"] >= named[name]["capacity"]
        ]
        if full:
            limit = full[0]
            words[row["id"]] = f"limit {limit['name']}: {_in_use(limit)}"
        elif quota is not None and quota["in_use"] >= quota["capacity"]:
            words[row["id"]] = f"quota of project {quota['name']}: {_in_use(quota)}"
        elif (row["blocked_by"] or "").startswith(f"{limits.GPU}/"):
            words[row["id"]] = _gpu_words(row, workers)
    return words


def _in_use(limit: RowMapping) -> str:
    capacity = limit["capacity"]
    if capacity == 0:
        return "it is closed"
    return f"all {capacity} slots in use" if capacity != 1 else "its one slot is in use"


def _gpu_words(row: RowMapping, workers: Sequence[RowMapping]) -> str:
    wanted = row["demands"]["gpu_memory_bytes"]
    size = f"{wanted / _GIB:.3g} GiB"
    largest = max(
        (
            gpu.get("memory_bytes", 0)
            for worker in workers
            if row["compute"] in worker["computes"]
            for gpu in worker["gpus"]
        ),
        default=0,
    )
    if largest < wanted:
        return f"no live worker of {row['compute']} has a GPU with {size}"
    return f"no GPU of {row['compute']} has {size} free"

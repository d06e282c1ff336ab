"""Use cases of limits on an open transaction: who may have how much at once, fleet-wide."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import limits as table
from mlq.db.events import record
from mlq.db.window import Delivery
from mlq.errors import NotFoundError, nearest
from mlq.service import jobs, projects
from mlq.service.capacity import Windows
from mlq.service.names import check_name


def set_limit(
    conn: Connection, name: str, slots: int, *, actor: str, windows: Windows
) -> list[Delivery]:
    """Let at most `slots` steps that name this limit run at once, on all machines together."""
    check_name(name, what="limit")
    return _set(conn, table.NAMED, name, slots, actor=actor, windows=windows)


def remove_limit(conn: Connection, name: str, *, actor: str, windows: Windows) -> list[Delivery]:
    """Steps that name it run freely from now on; new jobs may not name it any more."""
    return _remove(conn, table.NAMED, name, actor=actor, windows=windows)


def set_quota(
    conn: Connection, project: str, slots: int, *, actor: str, windows: Windows
) -> list[Delivery]:
    """Let at most `slots` steps of a project run at once."""
    projects.require_known(conn, project)
    return _set(conn, table.PROJECT, project, slots, actor=actor, windows=windows)


def remove_quota(conn: Connection, project: str, *, actor: str, windows: Windows) -> list[Delivery]:
    """Let a project have any number of slots."""
    return _remove(conn, table.PROJECT, project, actor=actor, windows=windows)


def list_limits(conn: Connection) -> Sequence[RowMapping]:
    """Named limits, with what is in use and how many steps wait for them."""
    return table.list_all(conn, table.NAMED)


def list_quotas(conn: Connection) -> Sequence[RowMapping]:
    """Quotas of projects, with what is in use and how many steps wait for them."""
    return table.list_all(conn, table.PROJECT)


def wake(conn: Connection, windows: Windows) -> list[Delivery]:
    """Let every leaf try again whose limit has room: what a wake-up was lost for, too."""
    return jobs.dispatch(conn, table.wake(conn, table.blocking(conn)), windows)


def _set(
    conn: Connection, kind: str, name: str, slots: int, *, actor: str, windows: Windows
) -> list[Delivery]:
    table.set_capacity(conn, kind, name, slots, actor=actor)
    record(conn, "limit.set", subject=f"{kind}:{name}", actor=actor, detail={"slots": slots})
    return jobs.dispatch(conn, table.wake(conn, [f"{kind}/{name}"]), windows)


def _remove(
    conn: Connection, kind: str, name: str, *, actor: str, windows: Windows
) -> list[Delivery]:
    if not table.remove(conn, kind, name):
        known = [row["name"] for row in table.list_all(conn, kind)]
        close = nearest(name, known)
        raise NotFoundError(
            f"There is no {'limit' if kind == table.NAMED else 'quota of project'} '{name:.80}'.",
            hint=f"Did you mean '{close}'?" if close else "",
        )
    record(conn, "limit.remove", subject=f"{kind}:{name}", actor=actor)
    return jobs.dispatch(conn, table.wake(conn, [f"{kind}/{name}"]), windows)

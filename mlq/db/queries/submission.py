"""What a submission has to know before it writes, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from mlq.db import idempotency, specs, window
from mlq.db.together import Prepared, run_together
from mlq.db.types import now
from mlq.db.window import Standing

_NOW = Prepared(select(now().label("at")))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a submission finds.

    at: the database's time; known: digests of specs that are stored; standings: by compute;
    earlier: the earlier use of its key, a row with body_digest and job_id.
    """

    at: datetime
    known: frozenset[str]
    standings: Mapping[str, Standing]
    earlier: Any | None


def look_around(
    conn: Connection,
    *,
    digests: Iterable[str],
    windows: Mapping[str, int],
    key: tuple[str, str] | None,
) -> Surroundings:
    """Read what a submission has to know.

    digests: of its specs; windows: sizes, of the computes that it starts on; key: the principal and
    the key it came with.
    """
    statements: list[tuple[Prepared, Mapping[str, Any]]] = [
        (_NOW, {}),
        (specs.KNOWN, {"digests": list(digests)}),
    ]
    statements += [
        (window.STANDING, {"tag": compute, "window": size}) for compute, size in windows.items()
    ]
    if key is not None:
        principal, text = key
        statements.append((idempotency.EARLIER, {"principal": principal, "key": text}))
    [[moment], known, *others] = run_together(conn, statements)
    earlier = others.pop() if key is not None else []
    return Surroundings(
        at=moment.at,
        known=frozenset(row.digest for row in known),
        standings={
            compute: window.standing_of(row, window=size)
            for (compute, size), [row] in zip(windows.items(), others, strict=True)
        },
        earlier=earlier[0] if earlier else None,
    )

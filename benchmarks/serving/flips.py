"""How long a change takes until answers show it, and whether any request notices."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.serving.process import EndlessLoad, ask, wait_until
from benchmarks.serving.subject import Subject

FLIPS = 50
CONNECTIONS = 16


def measure(subject: Subject, rows: list[list[float]], folder: Path) -> dict[str, Any]:
    """Flip an alias, then traffic, FLIPS times each, under load of CONNECTIONS connections.

    Times in seconds, from the commit of the change to the first answer by what it chose.
    """
    request = subject.ask(rows)
    subject.deploy("blue", 1)
    subject.deploy("green", 2)

    def answered_by(key: str, value: str) -> Callable[[], bool]:
        def is_so() -> bool:
            status, body = ask(subject.server.port, request)
            if status != 200:
                raise RuntimeError(f"{status} {body[:300]!r}")
            return bool(json.loads(body)[key] == value)

        return is_so

    load = EndlessLoad(subject.server.port, request, connections=CONNECTIONS, folder=folder)
    found: dict[str, Any] = {"alias_s": [], "traffic_s": []}
    try:
        for flip in range(FLIPS):
            version = 2 - flip % 2
            subject.promote(version)
            found["alias_s"].append(wait_until(answered_by("model", f"models:/bench/{version}")))
        for flip in range(FLIPS):
            name = ("blue", "green")[flip % 2]
            subject.route(name)
            found["traffic_s"].append(wait_until(answered_by("deployment", name)))
    finally:
        found["load"] = load.end()
    return found


def describe(found: dict[str, Any]) -> str:
    """Median and worst of both, and the errors of the load."""
    lines = [
        f"{kind:>8}: live after {1e3 * statistics.median(times):.0f} ms (median), "
        f"{1e3 * max(times):.0f} ms (worst), {len(times)} flips"
        for kind, times in (("alias", found["alias_s"]), ("traffic", found["traffic_s"]))
    ]
    load = found["load"]
    lines.append(
        f"    load: {load['requests']} requests at {CONNECTIONS} connections, "
        f"{load['errors']} errors"
    )
    return "\n".join(lines)

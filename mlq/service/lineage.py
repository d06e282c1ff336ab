"""What a version came from, and what came from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import uses
from mlq.db.registry import ModelVersion
from mlq.service import data, models


@dataclass(frozen=True, slots=True)
class Node:
    """Something in a lineage. kind: data, model, job, deployment; note: what it is there."""

    kind: str
    uri: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The lineage of `subject`. upstream: what it came from, nearest first; downstream: what uses
    it or came from it."""

    subject: Node
    upstream: tuple[Node, ...] = ()
    downstream: tuple[Node, ...] = ()
    jobs: tuple[RowMapping, ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "subject": _view(self.subject),
            "upstream": [_view(node) for node in self.upstream],
            "downstream": [_view(node) for node in self.downstream],
        }


def of_model(conn: Connection, name: str, *, version: int | str) -> Lineage:
    """Jobs, data and models that a version came from; jobs and deployments that use it."""
    found = models.find_version(conn, name, version=version)
    made_by = uses.ancestors(conn, found.job_id) if found.job_id else []
    below = [
        Node("deployment", f"{row['endpoint']}/{row['name']}", _follows(row))
        for row in uses.deployments_of(conn, name)
        if _answers(row, found)
    ]
    return Lineage(
        Node("model", found.uri, ", ".join(found.aliases)),
        upstream=(*(_job(row) for row in made_by), *_assets(made_by)),
        downstream=(*below, *_trees(uses.roots_using(conn, found.uri))),
        jobs=tuple(made_by),
    )


def of_data(conn: Connection, name: str, *, version: int | str) -> Lineage:
    """Jobs that were given a version of data, the model versions they made, and who serves them."""
    found = data.find(conn, name, version=version)
    roots = uses.roots_using(conn, found.id)
    made = uses.versions_of_trees(conn, [row["id"] for row in roots])
    below: list[Node] = []
    for row in made:
        one = models.find_version(conn, row["name"], version=row["version"])
        below.append(Node("model", one.uri, ", ".join(one.aliases)))
        below += [
            Node("deployment", f"{serving['endpoint']}/{serving['name']}", _follows(serving))
            for serving in uses.deployments_of(conn, one.name)
            if _answers(serving, one)
        ]
    return Lineage(Node("data", found.id, found.file_name), downstream=(*_trees(roots), *below))


def _assets(made_by: list[RowMapping]) -> list[Node]:
    found: dict[str, Node] = {}
    for row in made_by:
        for port, given in (row["inputs"] or {}).items():
            uri = (given.get("asset") or {}).get("uri", "")
            if uri:
                kind = "data" if uri.startswith("mlq:") else uri.partition(":")[0].rstrip("s")
                found.setdefault(uri, Node(kind, uri, f"{row['path'] or 'job'}.{port}"))
    return list(found.values())


def _job(row: RowMapping) -> Node:
    return Node("job", f"job:{row['id']}", row["path"] or row["display_name"])


def _trees(rows: list[RowMapping]) -> list[Node]:
    return [
        Node("job", f"job:{row['id']}", f"{row['display_name']}, {row['state']}") for row in rows
    ]


def _answers(deployment: RowMapping, version: ModelVersion) -> bool:
    if deployment["alias"] is not None:
        return deployment["alias"] in version.aliases
    return bool(deployment["version"] == version.version)


def _follows(deployment: RowMapping) -> str:
    alias = deployment["alias"]
    return f"follows @{alias}" if alias is not None else "stays on this version"


def _view(node: Node) -> Mapping[str, str]:
    return {"kind": node.kind, "uri": node.uri, "note": node.note}

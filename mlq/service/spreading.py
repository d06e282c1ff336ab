"""Items as jobs: found by one leaf, their outputs collected by another.

They are those of a `parallel_for`, or the lots of mini-batches of a parallel job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from mlq.db import registry, spreads, sweeps, transitions
from mlq.db.registry import Artifact
from mlq.errors import StepError
from mlq.lifecycle import Role
from mlq.service import assets
from mlq.service.execution import Attempt, Input
from mlq.service.planting import tree_rows
from mlq.spec.builtin import ARTIFACT_TYPES, Port
from mlq.spec.embedded import ITEMS, instantiate
from mlq.spec.items import check_item, read_items
from mlq.spec.tree import MAX_JOBS
from mlq.spec.values import BadValueError, literal_type

#: Rows of one transaction: no other writer is to wait long for it.
_PIECE = 200
#: The other two leaves come before the items.
_FIRST_ORDINAL = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item that is to become a job. values: what its body is given beside the common inputs."""

    name: str
    values: Mapping[str, Input]


def find_items(conn: Connection, attempt: Attempt, *, project: str) -> list[Wanted]:
    """The items of the `parallel_for` that `attempt` expands.

    Raises StepError for items that are none, or that its body does not take, and NotFoundError for
    assets that they name.
    """
    content = attempt.spec["spread"]
    if content["items"] is not None:
        return [Wanted(name, _written(values, attempt.inputs)) for name, values in content["items"]]
    given = attempt.inputs[ITEMS].value
    try:
        found = read_items(given)
    except BadValueError as error:
        raise StepError(
            error.sentence("The items"),
            code="invalid_items",
            hint='Write a JSON list such as [{"region": "north"}, {"region": "south"}].',
        ) from None
    ports = content["ports"]
    known = None if ports is None else {name: Port(**port) for name, port in ports.items()}
    wanted = []
    for item in found:
        open_ports = {name: Port(literal_type(value)) for name, value in item.values.items()}
        taken = open_ports if known is None else known
        try:
            values = check_item(item, taken, given=attempt.inputs)
        except BadValueError as error:
            raise StepError(error.sentence(f"'{item.name}'"), code="invalid_items") from None
        inputs = {
            name: _found(conn, value, taken[name].type, project=project)
            for name, value in values.items()
        }
        wanted.append(Wanted(item.name, inputs))
    return wanted


def pieces(attempt: Attempt, wanted: Sequence[Wanted], *, planted: int) -> list[Sequence[Wanted]]:
    """What of the items is still to be planted, cut into transactions.

    planted: so many of them an earlier attempt has got done. Raises StepError for too many of them.
    """
    size = len(attempt.spec["plan"]["jobs"])
    if len(wanted) * size > MAX_JOBS:
        raise StepError(
            f"{len(wanted):,} items of {size} jobs each are more than {MAX_JOBS:,} jobs.",
            code="too_many_items",
            hint="Let an item stand for more of the work.",
        )
    step = max(1, _PIECE // size)
    return [wanted[first : first + step] for first in range(planted, len(wanted), step)]


def plant(
    conn: Connection, attempt: Attempt, piece: Sequence[Wanted], artifacts: Sequence[Artifact] = ()
) -> None:
    """Add jobs for some of the items, after those there are. artifacts: that these are given.

    Raises StaleAttempt when the attempt is not current any more or a cancel was requested.
    """
    claim = attempt.claim
    if not transitions.may_succeed(conn, claim):
        raise transitions.StaleAttempt(claim.id)
    parent_id = claim.parent_id
    assert parent_id is not None, "it expands the job that it belongs to"
    registry.add_artifacts(conn, artifacts)
    common = sweeps.trial_columns(conn, claim.id)
    shadow = common["shadow"].rpartition(".")[0]
    first = spreads.count_items(conn, parent_id)
    stored: list[dict[str, Any]] = []
    links: list[dict[str, str]] = []
    for place, item in enumerate(piece, first):
        top, *steps = instantiate(attempt.spec["plan"], {})
        top = replace(
            top,
            name=item.name,
            display_name=item.name,
            ordinal=_FIRST_ORDINAL + place,
            role=Role.ITEM.value,
        )
        rows, edges = tree_rows(
            conn,
            [top, *steps],
            attempt,
            {**attempt.inputs, **item.values},
            {**common, "shadow": f"{shadow}.{item.name}"},
            path=f"{common['path']}.{item.name}".lstrip("."),
        )
        rows[0]["parent_id"] = parent_id
        stored += rows
        links += edges
    transitions.insert_below(conn, stored, links, at=spreads.moment(conn))


def _written(values: Mapping[str, Any], given: Mapping[str, Input]) -> dict[str, Input]:
    """What an item of the job file gives; what it has none of any more is left out."""
    found = {}
    for name, value in values.items():
        if "input" not in value:
            found[name] = Input(value["type"], value=value["value"])
        elif value["input"] in given:
            found[name] = given[value["input"]]
    return found


def _found(conn: Connection, value: Any, kind: str, *, project: str) -> Input:
    if kind not in ARTIFACT_TYPES:
        return Input(kind, value=value)
    asset = assets.resolve(conn, [value], project=project)[value]
    return Input(kind, digest=asset.digest, kind=asset.kind, name=asset.name, uri=asset.uri)

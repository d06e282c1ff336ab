"""Trees that a leaf adds to its own job while that runs: trials that are pipelines, and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from mlq.db import specs
from mlq.ids import new_id
from mlq.service.assets import Asset
from mlq.service.blueprint import draw, edges, rows
from mlq.service.execution import Attempt, Input
from mlq.spec.plan import Plan, PlannedJob, Source


def tree_rows(
    conn: Connection,
    jobs: Sequence[PlannedJob],
    attempt: Attempt,
    given: Mapping[str, Input],
    common: Mapping[str, Any],
    *,
    path: str,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Rows and edges of a tree for `transitions.insert_below`; their specs are stored here.

    jobs: of an embedded plan, the first its root, whose parent the caller sets. attempt: of the
    leaf that adds it; given: what sources of kind `input` stand for. common: columns as
    `mlq.db.sweeps.trial_columns` has them, `shadow` that of the tree's root. path: of that root.
    """
    bound = [_bound(job, given) for job in jobs]
    blueprint = draw(_plan(bound, common), document="", media_type="")
    ids = [new_id() for _ in bound]
    specs.add(conn, blueprint.specs, known=())
    found = {
        name: Asset(
            value.type,
            value.digest,
            "tree" if value.kind == "tree" else "blob",
            value.name,
            value.uri,
            size_bytes=0,
        )
        for name, value in given.items()
        if value.digest is not None
    }
    stored = rows(
        blueprint,
        ids,
        found,
        actor=common["submitted_by"],
        force_rerun=attempt.claim.force_rerun,
    )
    for row in stored:
        row["path"] = f"{path}.{row['path']}" if row["path"] else path
        row["root_id"] = attempt.claim.root_id
        row["generation"] = common["generation"]
        row["project"] = common["project"]
    return stored, edges(blueprint, ids)


def _bound(job: PlannedJob, given: Mapping[str, Input]) -> PlannedJob:
    """The job with what was given in place of its inputs of kind `input`."""
    inputs: dict[str, Source] = {}
    for name, source in job.inputs.items():
        if source.kind == "input":
            if source.value not in given:
                continue  # an optional input that nobody gave
            value = given[source.value]
            source = (
                Source("literal", value.value, type=source.type)
                if value.digest is None
                else Source("asset", source.value, type=source.type)
            )
        inputs[name] = source
    return replace(job, inputs=inputs)


def _plan(jobs: Sequence[PlannedJob], common: Mapping[str, Any]) -> Plan:
    return Plan(
        jobs=tuple(jobs),
        type=jobs[0].type,
        display_name=common["shadow"],
        experiment=common["experiment"],
        description="",
        tags={},
        priority=common["priority"],
        force_rerun=False,
        outputs={},
        assets=(),
        warnings=(),
    )

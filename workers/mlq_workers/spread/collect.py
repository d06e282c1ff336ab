"""The leaf that makes one output of those of all items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlq.artifacts import Store
from mlq.artifacts.trees import Entry
from mlq.db import Database, spreads
from mlq.db.registry import Artifact
from mlq.service.execution import Attempt
from mlq_workers.board import Seat
from mlq_workers.ending import Ending
from mlq_workers.reporter import Reporter


@dataclass(frozen=True, slots=True)
class CollectHandler:
    """Lists values in the order of the items; puts files and folders into one folder, by item.

    No byte is copied: a folder is a list of files that are stored already.
    """

    database: Database

    def handle(
        self, attempt: Attempt, *, scratch: Path, store: Store, seat: Seat, reporter: Reporter
    ) -> Ending:
        """Collect every output that the spec names."""
        parent_id = attempt.claim.parent_id
        assert parent_id is not None, "it collects for the job that it belongs to"
        with self.database.read() as conn:
            items = spreads.outputs_of_items(conn, parent_id)
        outputs: dict[str, Any] = {}
        stored: list[Artifact] = []
        for name, port in attempt.spec["outputs"].items():
            found = [(item, made[name]) for item, made in items if name in made]
            if port["type"] == "object":
                outputs[name] = {"type": "object", "value": [made["value"] for _, made in found]}
                continue
            tree = store.put_entries(_entries(store, found))
            stored.append(Artifact(tree.digest, "tree", tree.size_bytes))
            outputs[name] = {
                "type": port["type"],
                "digest": tree.digest,
                "kind": "tree",
                "name": name,
                "size_bytes": tree.size_bytes,
            }
        return Ending(outputs=outputs, artifacts=stored)


def _entries(store: Store, found: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Entry]:
    """A folder for each item, with its file or the content of its folder."""
    entries = []
    for item, made in found:
        if made["kind"] == "tree":
            inside = store.tree(made["digest"]).entries
            entries += [replace(entry, path=f"{item}/{entry.path}") for entry in inside]
        else:
            path = f"{item}/{made['name']}"
            entries.append(Entry(path, made["digest"], made["size_bytes"]))
    return entries

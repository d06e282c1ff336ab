"""The leaf that makes one output of those of all items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlq.artifacts import Store
from mlq.artifacts.trees import Entry
from mlq.db import Database, spreads
from mlq.db.registry import Artifact
from mlq.service.execution import Attempt
from mlq.spec.parallel import SUMMARY
from mlq_workers.board import Seat
from mlq_workers.ending import Ending
from mlq_workers.reporter import Reporter
from mlq_workers.spread.lots import total


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
        told = attempt.spec.get("mini_batches")
        if told is not None:
            return self._put_together(attempt, told, [made for _, made in items], store, reporter)
        outputs: dict[str, Any] = {}
        stored: list[Artifact] = []
        for name, port in attempt.spec["outputs"].items():
            found = [(item, made[name]) for item, made in items if name in made]
            if port["type"] == "object":
                outputs[name] = {"type": "object", "value": [made["value"] for _, made in found]}
                continue
            tree = store.put_entries(_entries(store, found))
            stored.append(Artifact(tree.digest, "tree", tree.size_bytes))
            outputs[name] = _record(name, port["type"], stored[-1])
        return Ending(outputs=outputs, artifacts=stored)

    def _put_together(
        self,
        attempt: Attempt,
        told: Mapping[str, Any],
        lots: Sequence[Mapping[str, Any]],
        store: Store,
        reporter: Reporter,
    ) -> Ending:
        """The outputs of a parallel job: one file of all rows, and folders put into each other."""
        found = total([made[SUMMARY]["value"] for made in lots], told["settings"])
        reporter.log("mlq", f"{found}\n")
        outputs: dict[str, Any] = {}
        stored: list[Artifact] = []
        for name, port in attempt.spec["outputs"].items():
            if name == told["append"]:
                blob = store.put_stream(_chunks(store, [made[name]["digest"] for made in lots]))
                stored.append(Artifact(blob.digest, "blob", blob.size_bytes))
            else:
                entries = {
                    entry.path: entry
                    for made in lots
                    for entry in store.tree(made[name]["digest"]).entries
                }  # where several lots have written a file of the same name, the last one's
                tree = store.put_entries(entries.values())
                stored.append(Artifact(tree.digest, "tree", tree.size_bytes))
            outputs[name] = _record(name, port["type"], stored[-1])
        return Ending(outputs=outputs, artifacts=stored)


def _record(name: str, kind: str, stored: Artifact) -> dict[str, Any]:
    return {
        "type": kind,
        "digest": stored.digest,
        "kind": stored.kind,
        "name": name,
        "size_bytes": stored.size_bytes,
    }


def _chunks(store: Store, digests: Sequence[str]) -> Iterator[bytes]:
    for digest in digests:
        with store.read(digest) as file:
            while chunk := file.read(1 << 20):
                yield chunk


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

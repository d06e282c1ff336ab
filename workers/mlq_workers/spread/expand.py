"""The leaf that finds the items of its parent, and adds a job for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlq.artifacts import Store
from mlq.db import Database, spreads
from mlq.db.projects import owner_of_job
from mlq.db.registry import Artifact
from mlq.db.transitions import StaleAttempt
from mlq.service import spreading
from mlq.service.execution import Attempt
from mlq_workers.board import Seat
from mlq_workers.ending import Ending
from mlq_workers.reporter import Reporter
from mlq_workers.spread.lots import deal


@dataclass(frozen=True, slots=True)
class ExpandHandler:
    """Adds the items in pieces; an attempt after a loss goes on where the one before had come to.

    None of them starts before it has succeeded.
    """

    database: Database

    def handle(
        self, attempt: Attempt, *, scratch: Path, store: Store, seat: Seat, reporter: Reporter
    ) -> Ending:
        """Add a job for each item. Raises StepError for what is no item."""
        parent_id = attempt.claim.parent_id
        assert parent_id is not None, "it expands the job that it belongs to"
        with self.database.read() as conn:
            project = owner_of_job(conn, attempt.claim.id)
            planted = spreads.count_items(conn, parent_id)
            stored: list[Artifact] = []
            if "items" in attempt.spec["spread"]:
                wanted = spreading.find_items(conn, attempt, project=project)
        if "items" not in attempt.spec["spread"]:
            wanted, stored = deal(attempt, store, scratch)
        try:
            for piece in spreading.pieces(attempt, wanted, planted=planted):
                self.database.transact(spreading.plant, attempt, piece, stored)
        except StaleAttempt:
            return Ending()
        return Ending(outputs={})

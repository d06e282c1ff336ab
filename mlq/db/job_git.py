"""What git knew of the code of a job tree when it was submitted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select

from mlq.db.tables import job_git


@dataclass(frozen=True, slots=True)
class GitRecord:
    """commit_id: of the commit checked out, hex digits. branch: None where none was.

    is_dirty: whether files differed from the commit or were unknown to it; diff: digest of a blob
    that says how, None where there is nothing to say.
    """

    commit_id: str
    branch: str | None
    repository: str | None
    is_dirty: bool
    diff: str | None


def note(conn: Connection, root_id: str, record: GitRecord) -> None:
    """Keep the record of a new tree."""
    conn.execute(insert(job_git).values(root_id=root_id, **asdict(record)))


def find(conn: Connection, root_id: str) -> GitRecord | None:
    """The record of a tree."""
    row = conn.execute(select(job_git).where(job_git.c.root_id == root_id)).first()
    if row is None:
        return None
    return GitRecord(row.commit_id, row.branch, row.repository, row.is_dirty, row.diff)

"""What git knew of a job's code, as the API takes and answers it."""

from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from mlq.db.job_git import GitRecord
from mlq.errors import MlqError
from mlq_api.bodies import parse

#: Characters of the header.
MAX_GIT = 8192

_COMMIT = "5e1c309dae7f45e0f39b1bf3ac3cd9db12e7d689"


class SubmittedGit(BaseModel):
    """Comes with a submit, as JSON in the header `Mlq-Git`."""

    model_config = ConfigDict(extra="forbid")
    commit: str = Field(pattern=r"^[0-9a-f]{40,64}$")
    branch: str | None = Field(default=None, max_length=255)
    repository: str | None = Field(default=None, max_length=2000)
    is_dirty: bool
    diff: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    def as_record(self) -> GitRecord:
        """As it is kept."""
        return GitRecord(self.commit, self.branch, self.repository, self.is_dirty, self.diff)


class Git(BaseModel):
    """What the code of a job was submitted from."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"commit": _COMMIT, "branch": "main", "is_dirty": False, "diff": None},
            ]
        }
    )
    commit: str
    branch: str | None = Field(default=None, description="None: no branch was checked out.")
    repository: str | None = Field(default=None, description="Address of `origin`.")
    is_dirty: bool = Field(description="Files differed from the commit, or were new.")
    diff: str | None = Field(
        default=None, description="SHA-256 of the difference; the text is at `/v1/jobs/ID/diff`."
    )


def git_of(request: Request) -> GitRecord | None:
    """What a request's header says. Raises MlqError (code `invalid`)."""
    text = request.headers.get("mlq-git")
    if text is None:
        return None
    if len(text) > MAX_GIT:
        raise MlqError(f"The header Mlq-Git has more than {MAX_GIT} bytes.", code="invalid")
    return parse(SubmittedGit, text.encode()).as_record()


def git_view(record: GitRecord | None) -> dict[str, object] | None:
    """As `Git` describes it."""
    if record is None:
        return None
    return {
        "commit": record.commit_id,
        "branch": record.branch,
        "repository": record.repository,
        "is_dirty": record.is_dirty,
        "diff": record.diff,
    }

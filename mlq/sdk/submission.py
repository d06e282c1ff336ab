"""A pipeline of Python functions as a job of a server."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlq.client.documents import Job
from mlq.client.git import send_git
from mlq.errors import MlqError
from mlq.sdk.documents import write_document
from mlq.sdk.values import read

if TYPE_CHECKING:
    from mlq.client import Client
    from mlq.sdk.pipelines import PipelineJob


class Submitted:
    """A job on a server."""

    def __init__(self, client: Client, job: Job, described: PipelineJob) -> None:
        self._client = client
        self._described = described
        self.id = str(job["id"])

    def wait(self, *, timeout_s: float | None = None) -> Submitted:
        """Return when it has succeeded.

        Raises MlqError (code `job_failed`) for any other end, TimedOutError after timeout_s.
        """
        job = self._client.jobs.wait(self.id, timeout_s=timeout_s)
        if job["state"] != "succeeded":
            error: Mapping[str, Any] = job.get("error") or {}
            raise MlqError(
                f"Job {self.id[:16]} {job['state']}: {error.get('message') or job.get('reason')}",
                code="job_failed",
                hint=f"Its log: mlq job stream {self.id[:16]}",
            )
        return self

    def result(self, name: str | None = None) -> Any:
        """An output of the pipeline, read as the function returned it; the only one by default."""
        outputs = self._described.outputs
        if name is None and len(outputs) == 1:
            (name,) = outputs
        if name is None or name not in outputs:
            raise MlqError(
                f"The pipeline '{self._described.name}' has no output '{name}'.",
                code="unknown_output",
                hint=f"It has: {', '.join(outputs) or 'none'}.",
            )
        with tempfile.TemporaryDirectory() as folder:
            saved = self._client.jobs.download(self.id, name, to=Path(folder))
            return read(saved, outputs[name].kind)


def submit(job: PipelineJob, client: Client | None) -> Submitted:
    """Send `job` with its code and files. See PipelineJob.submit."""
    from mlq.client.opening import open_client

    client = client if client is not None else open_client()
    with tempfile.TemporaryDirectory(prefix="mlq-submit-") as folder:
        document, files, code = write_document(job, Path(folder))
        for snapshot in code.values():
            client.blobs.send(snapshot)
        for file in files:
            client.blobs.upload(file)
        git = next((send_git(client, *one) for one in code.items()), None)
        return Submitted(client, client.jobs.create(document, git=git), job)

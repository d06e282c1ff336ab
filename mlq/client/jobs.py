"""Jobs: submit, look, wait, stop, go on."""

from __future__ import annotations

import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mlq.client.documents import Git, Job, Output
from mlq.client.downloads import save, save_tree, writing
from mlq.client.events import Event, follow
from mlq.client.paths import locate
from mlq.client.problems import TimedOutError
from mlq.client.session import Session
from mlq.errors import NotFoundError
from mlq.lifecycle import is_terminal

_SLOWEST_POLL_S = 0.5


class Jobs:
    """`/v1/jobs`. ref: an id, a unique prefix of one, the name of a root, or `@last`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        document: str | Mapping[str, Any],
        *,
        media_type: str = "application/yaml",
        idempotency_key: str | None = None,
        force_rerun: bool = False,
        git: Git | None = None,
    ) -> Job:
        """Submit a job: a text of `media_type`, or a mapping that is sent as JSON.

        git: what its code is submitted from; a `diff` has been uploaded.

        Without an idempotency key one is made, so that a try that is repeated submits one job.
        Raises SpecError with every problem of the document.
        """
        if not isinstance(document, str):
            document, media_type = json.dumps(document), "application/json"
        return cast(
            Job,
            self._session.json(
                "POST",
                "/v1/jobs",
                content=document.encode(),
                params={"force_rerun": "true" if force_rerun else None},
                headers={
                    "Content-Type": media_type,
                    "Idempotency-Key": idempotency_key or uuid.uuid4().hex,
                    **({"Mlq-Git": json.dumps(git)} if git is not None else {}),
                },
            ),
        )

    def list(
        self,
        *,
        state: str | None = None,
        experiment: str | None = None,
        name: str | None = None,
        parent: str | None = None,
        archived: bool = False,
        where: Sequence[str] = (),
        limit: int | None = 50,
    ) -> list[Job]:
        """Jobs, newest first. parent: `none` for roots (the default), `any`, or an id.

        where: conditions on metrics of jobs or of their steps, such as `accuracy>0.9`.
        """
        return list(
            self._session.pages(
                "/v1/jobs",
                limit=limit,
                state=state,
                experiment=experiment,
                name=name,
                parent=parent,
                archived="true" if archived else None,
                where=list(where) or None,
            )
        )

    def get(self, ref: str, *, depth: int | None = None) -> Job:
        """A job with its children; depth: levels of them, 1 by default."""
        return cast(
            Job, self._session.json("GET", locate("/v1/jobs/{}", ref), params={"depth": depth})
        )

    def children(self, ref: str) -> Iterator[Job]:
        """All children in order, page after page."""
        return self._session.pages(locate("/v1/jobs/{}/children", ref), limit=None)

    def cancel(self, ref: str) -> Job:
        """Ask for the end of a job and of everything below it."""
        return cast(Job, self._session.json("POST", locate("/v1/jobs/{}/cancel", ref)))

    def move(
        self,
        ref: str,
        *,
        priority: int | None = None,
        to: str | None = None,
        before: str | None = None,
    ) -> Job:
        """Change a waiting job's priority, or its place: `front`, `back`, or before another."""
        body = {"priority": priority, "to": to, "before": before}
        return cast(Job, self._session.json("POST", locate("/v1/jobs/{}/move", ref), json=body))

    def resume(self, ref: str) -> Job:
        """Run what did not succeed again. Raises ConflictError unless the root has finished."""
        return cast(Job, self._session.json("POST", locate("/v1/jobs/{}/resume", ref)))

    def archive(self, ref: str) -> Job:
        """Leave a finished job out of the lists."""
        return cast(Job, self._session.json("POST", locate("/v1/jobs/{}/archive", ref)))

    def delete(self, ref: str) -> None:
        """Delete a finished job with its metrics and logs."""
        self._session.request("DELETE", f"/v1/jobs/{ref}")

    def spec(self, ref: str) -> tuple[str, str]:
        """The document of the whole job as it was submitted, and its media type."""
        response = self._session.request("GET", locate("/v1/jobs/{}/spec", ref))
        kind = response.headers.get("content-type", "application/json").partition(";")[0]
        return response.content.decode(), kind

    def diff(self, ref: str) -> str:
        """How the job's code differed from its commit, as git writes it. Raises NotFoundError."""
        response = self._session.request("GET", locate("/v1/jobs/{}/diff", ref))
        return response.content.decode(errors="replace")

    def metrics(self, ref: str, *, key: str | None = None) -> Sequence[dict[str, Any]]:
        """Everything that was measured: {key, step, value, at, attempt}, in order."""
        params = {"key": key}
        path = locate("/v1/jobs/{}/metrics", ref)
        page = self._session.json("GET", path, params=params)
        return cast("Sequence[dict[str, Any]]", page["items"])

    def usage(self, ref: str, *, attempt: int | None = None) -> dict[str, Any] | None:
        """What a command used: {attempt, wall_s, cpu_s, max_rss_bytes, samples}; None if unknown.

        Of the last attempt that was measured, by default.
        """
        path = locate("/v1/jobs/{}/usage", ref)
        try:
            found = self._session.json("GET", path, params={"attempt": attempt})
        except NotFoundError:
            return None
        return cast("dict[str, Any]", found)

    def outputs(self, ref: str) -> dict[str, Output]:
        """What the job gives back, by name."""
        return cast(
            "dict[str, Output]", self._session.json("GET", locate("/v1/jobs/{}/outputs", ref))
        )

    def download(self, ref: str, name: str, *, to: Path) -> Path:
        """Save one output below the folder `to`; return the file, or the folder of a tree.

        A literal is saved as `NAME.json`.
        """
        output = self.outputs(ref)[name]
        path = locate("/v1/jobs/{}/outputs/{}", ref, name)
        with writing(to):
            to.mkdir(parents=True, exist_ok=True)
        if "digest" not in output:
            target = to / f"{name}.json"
            with writing(target):
                target.write_text(json.dumps(output.get("value"), indent=2) + "\n")
            return target
        if output.get("kind") == "tree":
            return save_tree(self._session, path, to=to / name, params={"format": "tar"})
        return save(self._session, path, to=to / Path(output.get("name") or name).name)

    def logs(
        self, ref: str, *, attempt: int | None = None, follow_on: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Log chunks {job_id, path, attempt, stream, content} of a job and its leaves.

        follow_on: go on as they are written, until the job has ended.
        """
        path = locate("/v1/jobs/{}/logs", ref)
        if follow_on:
            params = {"attempt": attempt, "follow": "true"}
            for event in follow(self._session, path, params=params):
                yield event.data
            return
        text = self._session.request("GET", path, params={"attempt": attempt}).text
        yield {"content": text, "stream": "stdout"}

    def last_lines(self, ref: str, *, count: int) -> Sequence[str]:
        """The last `count` lines, at most, of the whole log; it is read through, but not kept."""
        with self._session.stream(locate("/v1/jobs/{}/logs", ref)) as response:
            return list(deque(response.iter_lines(), maxlen=count))

    def events(self, ref: str, *, after: str | None = None) -> Iterator[Event]:
        """Transitions of the job's whole tree as they happen, until its root has ended."""
        return follow(self._session, locate("/v1/jobs/{}/events", ref), after=after)

    def wait(
        self,
        ref: str,
        *,
        timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Job:
        """The job, once it has ended.

        Raises TimedOutError after timeout_s; the job goes on.
        """
        started, pause = clock(), 0.02
        while True:
            job = self.get(ref)
            if is_terminal(job["state"]):
                return job
            if timeout_s is not None and clock() - started + pause > timeout_s:
                raise TimedOutError(
                    f"Job {job['id'][:16]} is {job['state']} after {timeout_s:g} s.",
                    hint=f"It goes on; come back with `mlq job stream {job['id'][:16]}`.",
                )
            self._session.wait(pause)
            pause = min(pause * 1.5, _SLOWEST_POLL_S)

"""Following a job on the terminal: a tree that is redrawn, or plain lines elsewhere."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from mlq.cli.job_view import (
    Row,
    find_failed,
    measure,
    render_head,
    render_job_in_short,
    render_steps,
    say_detail,
    say_step,
    walk,
)
from mlq.cli.output import make_console
from mlq.cli.sweep_view import Paces, has_sweep, milestone, say_missed, say_progress
from mlq.cli.words import STATES, say_duration, say_state, short_id
from mlq.client import Client, TimedOutError
from mlq.client.documents import Job
from mlq.lifecycle import is_terminal

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Durations and reasons to wait change without an event; look again after so long.
_LOOK_AGAIN_S = 1.0
#: A job with a sweep is not looked at more often, however many events there are.
_SWEEP_LOOK_S = 0.3
#: How long the log may take to end after its job.
_LAST_WORDS_S = 10.0
_DEPTH = 4


def stream_job(
    client: Client,
    job_id: str,
    *,
    stderr: bool = False,
    logs: bool | None = None,
    timeout_s: float | None = None,
    indent: int = 0,
) -> Job:
    """Show how a job goes on until it has ended; return it as it ended.

    stderr: leave stdout to the result. logs: show what steps write; by default of a single
    command's only. indent: blanks before each line. Ctrl-C ends the looking, never the job: it
    comes out as KeyboardInterrupt.
    Raises TimedOutError after timeout_s; the job goes on.
    """
    console = make_console(stderr=stderr)
    job = client.jobs.get(job_id, depth=_DEPTH)
    with_logs = job["type"] == "command" if logs is None else logs
    box: queue.Queue[tuple[str, Any]] = queue.Queue()
    _read(box, "event", lambda: client.jobs.events(job_id))
    readers = 1
    if with_logs:
        readers += 1
        _read(box, "log", lambda: client.jobs.logs(job_id, follow_on=True))
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    paces = Paces()
    lines = Lines(paces)
    with ExitStack() as stack:
        live = None
        if _is_drawn(console):
            from rich.live import Live

            live = stack.enter_context(
                Live(
                    console=console,
                    refresh_per_second=8,
                    get_renderable=lambda: _draw(job, indent, paces),
                )
            )
        ended_at: float | None = None
        while True:
            paces.note(job, at=time.monotonic())
            looked_at = time.monotonic()
            if live is None:
                for line in lines.of(job):
                    console.print(" " * indent + line, soft_wrap=True)
            if ended_at is not None:
                # the last log lines may come after the event that ended the job
                waited = time.monotonic() - ended_at
                if readers == 0 or not with_logs or waited > _LAST_WORDS_S:
                    return job
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0 and ended_at is None:
                raise TimedOutError(
                    f"Job {short_id(job_id)} is {job['state']} after {timeout_s:g} s.",
                    hint=f"It goes on; come back with `mlq job stream {short_id(job_id)}`.",
                )
            for kind, content in _take(box, wait_s=min(_LOOK_AGAIN_S, left or _LOOK_AGAIN_S)):
                if kind == "log":
                    for line in lines.of_log(content):
                        console.print(line, markup=False, soft_wrap=True)
                elif kind == "end":
                    readers -= 1
                elif kind == "broken":
                    # the job itself is asked for again and again, and says if the server is away
                    readers -= 1
                    if content[0] == "log":
                        console.print(f"(the log broke off: {content[1]})", style="dim")
            if ended_at is None:
                if has_sweep(job):  # its trials may end by the thousand
                    time.sleep(max(0.0, looked_at + _SWEEP_LOOK_S - time.monotonic()))
                job = client.jobs.get(job_id, depth=_DEPTH)
                if is_terminal(job["state"]):
                    ended_at = time.monotonic()


def say_how_to_come_back(job_id: str, *, stderr: bool = False) -> None:
    """What to type after the looking was interrupted."""
    console = make_console(stderr=stderr)
    console.print("The job goes on.")
    console.print(f"  come back: mlq job stream {short_id(job_id)}")
    console.print(f"  stop it:   mlq job cancel {short_id(job_id)}")


def tell_outcome(job: Job, *, stderr: bool = False) -> None:
    """One line on how a job ended, and where to look when it did not succeed."""
    console = make_console(stderr=stderr)
    if not _is_drawn(console):  # a drawn tree says it at its top
        console.print(render_head(job))
    if missed := say_missed(job):
        console.print(f"{missed.capitalize()}; the outputs are those of the best trial.")
    if job["state"] != "failed":
        return
    failed = find_failed(job)
    error = failed.get("error") or job.get("error")
    name = failed.get("name") if failed is not job else None
    if error and error.get("message"):
        words = f"{name}: {error['message']}" if name else error["message"]
        console.print(words.strip(), soft_wrap=not console.is_terminal)
        if error.get("hint"):
            console.print(f"hint: {error['hint']}", soft_wrap=not console.is_terminal)
    console.print(f"More: mlq job show {short_id(job['id'])}", style="dim")


class Lines:
    """What has been said already, so that each change of a job is said once."""

    def __init__(self, paces: Paces | None = None) -> None:
        self._paces = paces
        self._said: dict[str, tuple[str, int]] = {}
        self._milestones: dict[str, Any] = {}
        self._unfinished: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def of(self, job: Job) -> Iterator[str]:
        """A line for each step (the job itself, when it has none) that changed."""
        from datetime import UTC, datetime

        rows = list(walk(job)) or [Row(job, 0)]
        width = max(len(say_step(row.job)) for row in rows)
        for row in rows:
            step = row.job
            now = (step["state"], step.get("attempt") or 0)
            self._names[step["id"]] = say_step(step)
            if self._said.get(step["id"]) == now or step["state"] == "pending":
                yield from self._of_sweep(step, width)
                continue
            self._said[step["id"]] = now
            if step.get("sweep"):
                self._milestones[step["id"]] = milestone(step["sweep"])
            symbol = STATES.get(step["state"], ("?", ""))[0]
            words = [f"{symbol} {self._names[step['id']]:<{width}}"]
            words.append(say_state(step["state"], step.get("reason")))
            if is_terminal(step["state"]) and step.get("started_at"):
                words.append(say_duration(measure(step, now=datetime.now(UTC))))
            detail = say_detail(step, self._paces, siblings=row.siblings)
            yield "  ".join([*words, detail] if detail else words)

    def _of_sweep(self, step: Job, width: int) -> Iterator[str]:
        """A line where a sweep has a new best trial, or has come a good deal further."""
        if not step.get("sweep") or step["state"] != "running":
            return
        reached = milestone(step["sweep"])
        if self._milestones.get(step["id"]) == reached:
            return
        self._milestones[step["id"]] = reached
        symbol = STATES["running"][0]
        yield f"{symbol} {say_step(step):<{width}}  {say_progress(step, self._paces)}"

    def of_log(self, chunk: dict[str, Any]) -> Iterator[str]:
        """The whole lines of a log chunk, with the step's name before them."""
        source = f"{chunk.get('job_id')}/{chunk.get('stream')}"
        text = self._unfinished.pop(source, "") + str(chunk.get("content", ""))
        *whole, rest = text.split("\n")
        if rest:
            self._unfinished[source] = rest
        path = chunk.get("path") or self._names.get(str(chunk.get("job_id")), "")
        for line in whole:
            yield f"{path} | {line}" if path else line


def _is_drawn(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def _draw(job: Job, indent: int, paces: Paces) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding

    if not job.get("children"):
        return Padding(render_job_in_short(job, paces=paces), (0, 0, 0, indent))
    # a tree higher than the terminal could not be redrawn in place
    rows = max(make_console().size.height - 4, 6)
    steps = Padding(render_steps(job, max_rows=rows, fold=False, paces=paces), (0, 0, 0, 2))
    return Padding(Group(render_head(job), steps), (0, 0, 0, indent))


def _read(
    box: queue.Queue[tuple[str, Any]], kind: str, source: Callable[[], Iterable[Any]]
) -> None:
    """Put everything of `source` into the box, from a thread that ends with the process."""

    def run() -> None:
        try:
            for content in source():
                box.put((kind, content))
            box.put(("end", kind))
        except Exception as error:
            box.put(("broken", (kind, error)))

    threading.Thread(target=run, name=f"mlq-{kind}s", daemon=True).start()


def _take(box: queue.Queue[tuple[str, Any]], *, wait_s: float) -> Iterator[tuple[str, Any]]:
    """What is in the box, after waiting for something to be there."""
    try:
        yield box.get(timeout=max(wait_s, 0.01))
        while True:
            yield box.get_nowait()
    except queue.Empty:
        return

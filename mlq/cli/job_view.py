"""A job and its steps as text: the tree that `job show` prints and `--stream` redraws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlq.cli import sweep_view
from mlq.cli.output import make_table
from mlq.cli.sweep_view import Paces
from mlq.cli.words import (
    STATES,
    parse_time,
    pick_metrics,
    say_age,
    say_duration,
    say_number,
    say_size,
    say_state,
    short_id,
)
from mlq.client.documents import Git, Job, Trial
from mlq.lifecycle import is_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Rows of a tree, beyond which those that need no attention are counted instead.
MAX_ROWS = 60
_CALM = frozenset({"succeeded", "pending", "skipped", "canceled"})


@dataclass(frozen=True, slots=True)
class Row:
    """One step of a tree. depth: 0 for a child of the root; siblings: itself among them."""

    job: Job
    depth: int
    siblings: Sequence[Job] = ()


def walk(job: Job, *, depth: int = 0) -> Iterator[Row]:
    """The steps below a job, in order, each before its own."""
    children = job.get("children") or []
    for child in children:
        yield Row(child, depth, children)
        yield from walk(child, depth=depth + 1)


def measure(job: Job, *, now: datetime) -> float | None:
    """Seconds the job has run, or ran; None before it starts."""
    if job.get("duration_s") is not None and job.get("finished_at"):
        return job["duration_s"]
    started = parse_time(job.get("started_at"))
    if started is None:
        return None
    ended = parse_time(job.get("finished_at")) or now
    return max((ended - started).total_seconds(), 0.0)


def say_detail(job: Job, paces: Paces | None = None, *, siblings: Sequence[Job] = ()) -> str:
    """What is worth a line's end: why it waits, failed or was skipped, else what it measured."""
    if job["state"] == "skipped" and job.get("reason") == "upstream":
        return _say_skip(job, siblings)
    if job.get("waiting_for") and job.get("waiting_for") != "paused":
        return str(job["waiting_for"])
    error = job.get("error")
    if error and error.get("message"):
        return error["message"].strip().splitlines()[0]
    if job.get("sweep") and job["state"] != "pending":
        return sweep_view.say_progress(job, paces)
    if missed := sweep_view.say_missed(job):
        return missed
    if job.get("waiting_for"):
        return str(job["waiting_for"])
    return "  ".join(f"{k} {say_number(v, digits=3)}" for k, v in pick_metrics(job.get("metrics")))


def render_steps(
    job: Job,
    *,
    now: datetime | None = None,
    max_rows: int = MAX_ROWS,
    fold: bool = True,
    paces: Paces | None = None,
) -> RenderableType:
    """The steps of a job as a table without lines.

    fold: wrap long ends, else cut them. paces: of its sweeps, to say when they will end.
    """
    from rich.table import Table
    from rich.text import Text

    now = now or datetime.now(UTC)
    rows = list(walk(job)) or [Row(job, 0)]
    shown, rest = _choose(rows, max_rows)
    grid = Table.grid(padding=(0, 2, 0, 0), expand=not fold)
    grid.add_column(no_wrap=True, max_width=32)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    if fold:
        grid.add_column(overflow="fold")
    else:  # of what is cut, the ends of lines go first
        grid.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    for row in shown:
        symbol, style = STATES.get(row.job["state"], ("?", ""))
        name = Text(f"{'  ' * row.depth}{symbol} ", style=style)
        name.append(say_step(row.job), style="default")
        state = say_state(row.job["state"], row.job.get("reason"))
        if row.job.get("attempt", 0) > 1:
            state += f" #{row.job['attempt']}"
        dim = "red" if row.job["state"] == "failed" else "dim"
        duration = say_duration(measure(row.job, now=now))
        detail = say_detail(row.job, paces, siblings=row.siblings)
        grid.add_row(name, Text(state, style=style), duration, Text(detail, style=dim))
    if rest:
        counts = Counter(row.job["state"] for row in rest)
        words = ", ".join(f"{count} {state}" for state, count in counts.items())
        grid.add_row(Text(f"… {len(rest)} more", style="dim"), "", "", Text(words, style="dim"))
    return grid


def render_head(job: Job, *, now: datetime | None = None) -> RenderableType:
    """One line: name, state, duration, and the id."""
    from rich.text import Text

    symbol, style = STATES.get(job["state"], ("?", ""))
    line = Text.assemble((f"{symbol} ", style), (say_name(job), "bold"), "  ")
    line.append(say_state(job["state"], job.get("reason")), style=style)
    duration = say_duration(measure(job, now=now or datetime.now(UTC)))
    if duration:
        line.append(f"  {duration}")
    line.append(f"  {short_id(job['id'])}", style="dim")
    return line


def render_canceled(job: Job) -> RenderableType:
    """The answer to a cancel: the head of the job, and what is still to come."""
    from rich.console import Group
    from rich.text import Text

    if is_terminal(job["state"]):
        return render_head(job)
    words = "Cancel was requested; the job ends when its workers have stopped what runs."
    look = f"Follow it: mlq job stream {short_id(job['id'])}"
    return Group(render_head(job), Text(words), Text(look, style="dim"))


def render_job_in_short(job: Job, *, paces: Paces | None = None) -> RenderableType:
    """The head of a job; of a sweep also how far it is."""
    from rich.console import Group
    from rich.text import Text

    head = render_head(job)
    return Group(head, Text(f"  {say_detail(job, paces)}")) if job.get("sweep") else head


def render_job(
    job: Job,
    *,
    url: str,
    now: datetime | None = None,
    best: Sequence[Trial] = (),
    last_lines: Sequence[str] = (),
    used: Mapping[str, Any] | None = None,
    width: int = 80,
) -> RenderableType:
    """Everything `job show` says.

    best: trials of a sweep to show; last_lines: of the log of what failed; used: of its machine, as
    `Jobs.usage` has it; width: of the terminal.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    now = now or datetime.now(UTC)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column(overflow="fold")
    for label, value in _facts(job, url=url, now=now):
        facts.add_row(label, Text(value))
    if used is not None:
        facts.add_row("used", Text(say_usage(used)))
    parts: list[RenderableType] = [render_head(job, now=now), Padding(facts, (0, 0, 0, 2))]
    if job.get("children"):
        parts += ["", Padding(render_steps(job, now=now), (0, 0, 0, 2))]
    if best:
        columns = sweep_view.trial_columns(job["sweep"], with_state=False)
        table = make_table(best, columns, width=width - 2)
        parts += ["", Padding(table, (0, 0, 0, 2))]
    for row in walk(job):
        error = row.job.get("error")
        if error and error.get("message") and "\n" in error["message"].strip():
            parts += ["", Text(f"{row.job.get('name')}:", style="bold red")]
            parts.append(Padding(Text(error["message"].strip()), (0, 0, 0, 2)))
    if job["state"] == "failed":
        failed = find_failed(job)
        if last_lines:
            parts += ["", Text(f"{say_step(failed)} printed last:", style="bold")]
            parts.append(Padding(Text("\n".join(last_lines)), (0, 0, 0, 2)))
        pointer = f"The whole log: mlq job stream {short_id(failed['id'])} --logs"
        parts += ["", Text(pointer, style="dim")]
    return Group(*parts)


def say_name(job: Job) -> str:
    """What people call the job."""
    return job.get("display_name") or job.get("name") or short_id(job["id"])


def say_step(job: Job) -> str:
    """What a step is called below its parent; a job without steps is its own only one."""
    return job.get("name") or say_name(job)


def find_failed(job: Job) -> Job:
    """The deepest first failure: what to look at."""
    for row in walk(job):
        if row.job["state"] == "failed" and not row.job.get("children"):
            return row.job
    return job


def _say_skip(job: Job, siblings: Sequence[Job]) -> str:
    """Why a step was skipped: what it needs did not succeed, or another step ended them all."""
    needed = set(job.get("upstreams") or [])
    for other in siblings:
        if other["id"] in needed and is_terminal(other["state"]) and other["state"] != "succeeded":
            verb = "failed" if other["state"] == "failed" else f"was {other['state']}"
            return f"needs {say_step(other)}, which {verb}"
    failed = next((other for other in siblings if other["state"] == "failed"), None)
    if failed is None or job.get("role"):
        return "what it belongs to did not go on"
    return (
        f"stopped: step {say_step(failed)} failed; set continue_on_step_failure to let "
        "independent steps go on"
    )


def say_usage(used: Mapping[str, Any]) -> str:
    """`12.3 s of CPU, at most 512.0 MiB of memory`."""
    return f"{used['cpu_s']:.1f} s of CPU, at most {say_size(used['max_rss_bytes'])} of memory"


def say_git(git: Git) -> str:
    """`5e1c309dae7f on main, changed since`."""
    words = str(git["commit"])[:12]
    words += f" on {git['branch']}" if git.get("branch") else ""
    if git.get("is_dirty"):
        words += ", changed since" + (" (--diff shows how)" if git.get("diff") else "")
    return words


def _facts(job: Job, *, url: str, now: datetime) -> Iterator[tuple[str, str]]:
    yield "id", job["id"]
    yield "console", url
    by = f" by {job['submitted_by']}" if job.get("submitted_by") else ""
    yield "submitted", say_age(job.get("created_at"), now=now) + by
    for label, key in (
        ("experiment", "experiment_name"),
        ("compute", "compute"),
        ("worker", "worker"),
    ):
        if job.get(key):
            yield label, str(job.get(key))
    if git := job.get("git"):
        yield "code", say_git(git)
    if job.get("component"):
        yield "component", str(job["component"])
    if job.get("waiting_for") == "paused":
        yield "waits", f"paused: mlq job resume {short_id(job['id'])} lets it go on"
    elif job.get("waiting_for"):
        yield "waits", str(job["waiting_for"])
    if job.get("sweep"):
        yield from sweep_view.facts(job["sweep"])
    if missed := sweep_view.say_missed(job):
        yield "missed", f"{missed}; the outputs are those of the best trial"
    if error := job.get("error"):
        yield "error", (error.get("message") or "").strip()
        if hint := error.get("hint"):
            yield "hint", hint
    if job.get("cancel_requested_at") and not job.get("finished_at"):
        yield "cancel", f"requested {say_age(job['cancel_requested_at'], now=now)}"
    if job["type"] == "command" and job.get("params"):
        yield "params", sweep_view.say_params(job["params"])
    metrics = job.get("metrics") or {}
    if metrics:
        yield "metrics", "  ".join(f"{k} {say_number(v)}" for k, v in metrics.items())
    for name, output in (job.get("outputs") or {}).items():
        value = (
            output.get("value") if "value" in output else output.get("name") or output.get("type")
        )
        yield "output", f"{name} = {value}"


def _choose(rows: Sequence[Row], limit: int) -> tuple[list[Row], list[Row]]:
    """The rows to show, in order, and those to count: calm ones make room first."""
    if len(rows) <= limit:
        return list(rows), []
    room = max(limit - 1, 1)
    by_need = sorted(range(len(rows)), key=lambda i: (rows[i].job["state"] in _CALM, i))
    chosen = set(by_need[:room])
    shown = [row for index, row in enumerate(rows) if index in chosen]
    return shown, [row for index, row in enumerate(rows) if index not in chosen]

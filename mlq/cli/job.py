"""`mlq job`: submit, watch, stop, go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.context import confirm, open_client, reference
from mlq.cli.job_export import export
from mlq.cli.job_trials import limits, pause, trials
from mlq.cli.output import Column, Item, Output, output_option, talk
from mlq.ids import SHORT_ID_LENGTH

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mlq.client import Client
    from mlq.client.documents import Job, Trial

#: Trials that `job show` lists.
_BEST = 10
#: Of the log of what failed.
_LAST_LINES = 10
_REF = "An id, the beginning of one, the name of a job, or @last."


@click.group()
def job() -> None:
    """Submit, watch, stop and resume jobs.

    A JOB is named by its id, a unique beginning of it, its name, or @last.
    """


@job.command()
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Job file (YAML or JSON); - reads stdin.",
)
@click.option("--from", "source", metavar="JOB", help="Or a job that was submitted before.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value, e.g. inputs.seed=1; repeatable.",
)
@click.option("-n", "--name", help="Display name, in place of that written.")
@click.option("--force-rerun", is_flag=True, help="Run every step, reuse no results.")
@click.option("-s", "--stream", is_flag=True, help="Show how it goes on until it has ended.")
@click.option("--timeout", "timeout_s", type=float, help="Seconds to stream at most (exit 124).")
@output_option
def create(
    path: Path | None,
    source: str | None,
    overrides: tuple[str, ...],
    name: str | None,
    force_rerun: bool,
    stream: bool,
    timeout_s: float | None,
    output: Output,
) -> int:
    """Submit a job: of a file, or one that was submitted before (--from), changed with --set.

    Code and files that the job file names are uploaded first; bytes that the server has are not
    sent again. Exits with 0 when the job is accepted; with --stream, when it succeeded.
    """
    from mlq.cli.job_file import placed, prepare, prepare_again

    if (path is None) == (source is None):
        raise click.UsageError("Say what to submit: --file FILE, or --from JOB.")
    with open_client() as client:
        if path is not None:
            made = prepare(path, client=client, overrides=overrides, name=name, say=talk)
        else:
            made = prepare_again(
                str(source), client=client, overrides=overrides, name=name, say=talk
            )
        with placed(made.written):
            created = client.jobs.create(
                made.text, media_type=made.media_type, force_rerun=force_rerun, git=made.git
            )
        aside = output.form != "table"
        click.echo(f"{client.url}/jobs/{created['id']}", err=aside)
        if not stream:
            if aside:
                output.one(created, name=created["id"])
            return 0
        return follow(client, created["id"], output=output, logs=None, timeout_s=timeout_s)


@job.command("list")
@click.option("--state", help="Only jobs in this state.")
@click.option("--experiment-name", help="Only jobs of this experiment.")
@click.option("-n", "--name", help="Only jobs of this name.")
@click.option("--parent", metavar="JOB", help="Only steps of this job; any for steps of all.")
@click.option("--archived", is_flag=True, help="Archived jobs too.")
@click.option(
    "-w",
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Only jobs with such a metric, such as 'accuracy>0.9'; repeatable.",
)
@click.option("-r", "--max-results", type=click.IntRange(1), default=25, show_default=True)
@output_option
def list_jobs(
    state: str | None,
    experiment_name: str | None,
    name: str | None,
    parent: str | None,
    archived: bool,
    where: tuple[str, ...],
    max_results: int,
    output: Output,
) -> None:
    """List jobs, newest first."""
    from mlq.cli.job_view import measure, say_name
    from mlq.cli.words import STATES, say_age, say_duration, say_state, short_id

    now = datetime.now(UTC)
    columns = [
        Column("ID", lambda item: short_id(item["id"])),
        Column("NAME", lambda item: say_name(_job(item)), flexible=True),
        Column(
            "STATE",
            lambda item: say_state(item["state"], item.get("reason")),
            style=lambda item: STATES.get(item["state"], ("", ""))[1],
        ),
        Column("DURATION", lambda item: say_duration(measure(_job(item), now=now)), right=True),
        Column("SUBMITTED", lambda item: say_age(item.get("created_at"), now=now)),
    ]
    with open_client() as client:
        found = client.jobs.list(
            state=state,
            experiment=experiment_name,
            name=name,
            parent=parent,
            archived=archived,
            where=where,
            limit=max_results,
        )
    is_narrowed = any((state, experiment_name, name, parent))
    output.list(
        found,
        columns,
        name=lambda item: str(item["id"]),
        empty="No such job. All of them: mlq job list"
        if is_narrowed
        else "No jobs yet. Submit one: mlq job create -f job.yml",
    )


@job.command()
@reference("JOB", _REF)
@click.option("--diff", is_flag=True, help="Only how its code differed from its git commit.")
@output_option
def show(ref: str, diff: bool, output: Output) -> None:
    """Show a job with its steps, what they measured and why they wait; a sweep's best trials."""

    from mlq.cli.job_view import find_failed, render_job
    from mlq.cli.output import make_console
    from mlq.cli.sweep_view import best_first

    best: list[Trial] = []
    last_lines: Sequence[str] = ()
    with open_client() as client:
        if diff:
            text = client.jobs.diff(ref)
            if output.form == "table":
                click.echo(text, nl=False)  # as it is: it may be applied
            else:
                output.one({"diff": text}, name=ref)
            return
        found = client.jobs.get(ref, depth=4)
        url = f"{client.url}/jobs/{found['id']}"
        if found.get("sweep") and output.form == "table":
            order = best_first(found["sweep"])
            best = client.sweeps.trials(found["id"], sort=order, state="succeeded", limit=_BEST)
        if found["state"] == "failed" and output.form == "table":
            last_lines = client.jobs.last_lines(find_failed(found)["id"], count=_LAST_LINES)
        is_command = found["type"] == "command" and found["attempt"]
        used = client.jobs.usage(found["id"]) if is_command and output.form == "table" else None

    def render() -> RenderableType:
        return render_job(
            found, url=url, best=best, last_lines=last_lines, used=used, width=make_console().width
        )

    output.one(found, name=found["id"], render=render)


@job.command()
@reference("JOB", _REF)
@click.option("--logs/--no-logs", default=None, help="What steps write; default: single commands.")
@click.option("--timeout", "timeout_s", type=float, help="Seconds to stream at most (exit 124).")
@output_option
def stream(ref: str, logs: bool | None, timeout_s: float | None, output: Output) -> int:
    """Follow a job until it has ended. Exits with 1 when it did not succeed."""
    with open_client() as client:
        found = client.jobs.get(ref)
        return follow(client, found["id"], output=output, logs=logs, timeout_s=timeout_s)


@job.command()
@reference("JOB", _REF)
@output_option
def cancel(ref: str, output: Output) -> None:
    """Stop a job and everything below it; steps that run end when their workers stopped them."""
    from mlq.cli.job_view import render_canceled

    with open_client() as client:
        found = client.jobs.cancel(ref)
    output.one(found, name=found["id"], render=lambda: render_canceled(found))


@job.command()
@reference("JOB", _REF)
@click.option("-p", "--priority", type=click.IntRange(-100, 100), help="Higher comes first.")
@click.option("--front", "to", flag_value="front", help="Before all others of its priority.")
@click.option("--back", "to", flag_value="back", help="Behind all others of its priority.")
@click.option("--before", metavar="OTHER", help="Before this job, with its priority.")
@output_option
def move(
    ref: str, priority: int | None, to: str | None, before: str | None, output: Output
) -> None:
    """Give a job that waits another priority, or another place."""
    if priority is None and to is None and before is None:
        raise click.UsageError("Say where to: --priority, --front, --back or --before.")
    with open_client() as client:
        moved = client.jobs.move(ref, priority=priority, to=to, before=before)
    output.one({"id": moved["id"], "priority": moved["priority"]}, name=moved["id"])


@job.command()
@reference("JOB", _REF)
@click.option("-s", "--stream", "streamed", is_flag=True, help="Show how it goes on.")
@output_option
def resume(ref: str, streamed: bool, output: Output) -> int:
    """Run what did not succeed of a finished job again; keep what did.

    A paused sweep goes on.
    """
    with open_client() as client:
        found = client.jobs.resume(ref)
        if streamed:
            return follow(client, found["id"], output=output, logs=None, timeout_s=None)
        _tell(found, output=output)
        return 0


job.add_command(pause)
job.add_command(trials)
job.add_command(limits)
job.add_command(export)


@job.command()
@reference("JOB", _REF)
@output_option
def archive(ref: str, output: Output) -> None:
    """Leave a finished job out of the lists."""
    with open_client() as client:
        _tell(client.jobs.archive(ref), output=output)


@job.command()
@reference("JOB", _REF)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete(ref: str, yes: bool, output: Output) -> None:
    """Delete a finished job with its metrics and logs; refused while a model it made is there."""
    from mlq.cli.job_view import say_name
    from mlq.cli.words import short_id

    with open_client() as client:
        found = client.jobs.get(ref, depth=0)
        job_id = found["id"]
        if not yes:
            what = f"{say_name(found)} ({short_id(job_id)}, {found['state']})"
            confirm(f"Delete job {what}? There is no way back.")
        client.jobs.delete(job_id)
    output.one({"id": job_id, "deleted": True}, name=job_id)


@job.command()
@reference("JOB", _REF)
@click.option("--step", help="Outputs of this step, in place of the job's own.")
@click.option("--output-name", "names", multiple=True, help="Only this output; repeatable.")
@click.option(
    "-p",
    "--download-path",
    "to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="here",
    help="Folder to write to.",
)
@output_option
def download(ref: str, step: str | None, names: tuple[str, ...], to: Path, output: Output) -> None:
    """Save what a job gives back: a file or folder for each output."""
    from mlq.errors import NotFoundError, nearest

    with open_client() as client:
        found = client.jobs.get(ref, depth=4)
        target = found if step is None else _find_step(found, step)
        offered = client.jobs.outputs(target["id"])
        for name in names:
            if name not in offered:
                close = nearest(name, offered)
                raise NotFoundError(
                    f"The job has no output '{name}'.",
                    hint=f"Did you mean '{close}'?" if close else f"It has {_join(offered)}.",
                )
        if not offered:
            raise NotFoundError(
                "The job itself has no outputs." if target is found else "The step has no outputs.",
                hint=f"Name a step with --step: {_join(steps)}."
                if (steps := [name for name in _step_names(found) if name != step])
                else "What it wrote to its log: "
                f"`mlq job stream {target['id'][:SHORT_ID_LENGTH]} --logs`.",
            )
        saved = [
            {"output": name, "path": str(client.jobs.download(target["id"], name, to=to))}
            for name in (names or offered)
        ]
    columns = [Column("OUTPUT", lambda i: i["output"]), Column("PATH", lambda i: i["path"])]
    output.list(saved, columns, name=lambda item: str(item["path"]))


def follow(
    client: Client, job_id: str, *, output: Output, logs: bool | None, timeout_s: float | None
) -> int:
    """Show how a job goes on until it has ended; the exit code."""
    from mlq.cli.job_stream import say_how_to_come_back, stream_job, tell_outcome

    aside = output.form != "table"
    try:
        ended = stream_job(client, job_id, stderr=aside, logs=logs, timeout_s=timeout_s)
    except KeyboardInterrupt:
        say_how_to_come_back(job_id, stderr=aside)
        raise
    tell_outcome(ended, stderr=aside)
    if aside:
        output.one(ended, name=ended["id"])
    return 0 if ended["state"] == "succeeded" else 1


def _tell(found: Job, *, output: Output) -> None:
    from mlq.cli.job_view import render_head

    output.one(found, name=found["id"], render=lambda: render_head(found))


def _find_step(found: Job, name: str) -> Job:
    from mlq.cli.job_view import walk
    from mlq.errors import NotFoundError, nearest

    for row in walk(found):
        if name in (row.job.get("name"), row.job.get("path")):
            return row.job
    close = nearest(name, _step_names(found))
    raise NotFoundError(
        f"The job has no step '{name}'.",
        hint=f"Did you mean '{close}'?" if close else f"It has {_join(_step_names(found))}.",
    )


def _step_names(found: Job) -> list[str]:
    return [child.get("name", "") for child in found.get("children") or []]


def _join(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def _job(item: Item) -> Job:
    return item  # type: ignore[return-value]  # what the client answered

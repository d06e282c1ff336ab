"""`mlq job trials`, `pause` and `limits`: what only sweeps have."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.context import open_client, reference
from mlq.cli.output import FORMATS, Output, output_option, talk
from mlq.ids import SHORT_ID_LENGTH

if TYPE_CHECKING:
    from mlq.client import Client
    from mlq.client.documents import Job, Trial

_REF = "A sweep, or a job with one sweep that is meant: an id, its beginning, a name, or @last."
_STATES = ("queued", "running", "succeeded", "failed", "pruned", "canceled")
_FORMS = {".csv": "csv", ".db": "optuna"}


class _Limit(click.ParamType[int | float | str]):
    """A number, or `none`."""

    def __init__(self, of: type[int] | type[float]) -> None:
        self.name = "integer|none" if of is int else "seconds|none"
        self._of = of

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float | str:
        if value == "none":
            return "none"
        try:
            number = self._of(value)
        except ValueError:
            self.fail(f"'{value}' is neither a number nor 'none'.", param, ctx)
        most = _most(str(param.name) if param is not None else "")
        if not 0 < number <= most:
            least = "1 or more" if self._of is int else "more than 0"
            self.fail(f"{value} is out of range: {least}, at most {most:,}, or 'none'.", param, ctx)
        return number


def _most(limit: str) -> int:
    """The largest value of a limit that a job file may have."""
    from mlq.spec import model

    known = {
        "max_total_trials": model.MAX_TRIALS,
        "max_concurrent_trials": model.MAX_CONCURRENT_TRIALS,
    }
    return known.get(limit, model.MAX_SECONDS)


@click.command()
@reference("JOB", _REF)
@click.option(
    "--sort",
    default="number",
    show_default=True,
    metavar="KEY",
    help="number, value, metric:NAME (with - before it the other way round), or best.",
)
@click.option("--state", type=click.Choice(_STATES), help="Only trials in this state.")
@click.option("-r", "--max-results", type=click.IntRange(1), default=50, show_default=True)
@click.option(
    "--export",
    "to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save all trials: FILE.csv, or FILE.db for an Optuna study (optuna-dashboard).",
)
@click.option("--force", is_flag=True, help="With --export: overwrite whatever FILE is.")
@click.option(
    "--add",
    "points",
    multiple=True,
    metavar="POINT",
    help="Try this point too: lr=0.1,depth=3, or a JSON mapping; repeatable.",
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice([*FORMATS, "csv"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)
def trials(
    ref: str,
    sort: str,
    state: str | None,
    max_results: int,
    to: Path | None,
    force: bool,
    points: tuple[str, ...],
    form: str,
) -> None:
    """List the trials of a sweep, save them, or add some.

    Added trials come before others and do not count against the sweep's limit.
    """
    from mlq.cli.sweep_view import best_first, say_trial_error, trial_columns

    if to is not None and to.suffix not in _FORMS:
        raise click.UsageError(f"'{to}' ends neither in .csv nor in .db.")
    if to is not None and not force:
        require_replaceable(to)
    parsed = [parse_point(point) for point in points]
    with open_client() as client:
        sweep = find_sweep(client, ref)
        if parsed:
            numbers = client.sweeps.add_trials(sweep["id"], parsed)
            talk(f"Added: {', '.join(f'trial {number}' for number in numbers)}.")
        if to is not None:
            client.sweeps.export(sweep["id"], to=to, form=_FORMS[to.suffix])
            talk(f"Saved: {to}")
        if parsed or to is not None:
            return
        if sort == "best":
            sort, state = best_first(sweep["sweep"]), state or "succeeded"
        found = client.sweeps.trials(sweep["id"], sort=sort, state=state, limit=max_results)
    require_metric(sort, found)
    if form == "csv":
        from mlq.sweeps.trial_table import write_trials

        write_trials(found, sys.stdout)
        return
    Output(form).list(
        found,
        trial_columns(sweep["sweep"], sort=sort),
        name=lambda trial: str(trial["id"]),
        note=say_trial_error,
        empty=f"No trial is {state}. All of them: mlq job trials {sweep['id'][:SHORT_ID_LENGTH]}"
        if state
        else "No trials yet.",
    )


@click.command()
@reference("JOB", _REF)
@output_option
def pause(ref: str, output: Output) -> None:
    """Let a sweep finish the trials that run, and begin no others.

    `mlq job resume` lets it go on.
    """
    with open_client() as client:
        _tell(client.sweeps.pause(find_sweep(client, ref)["id"]), output=output)


@click.command()
@reference("JOB", _REF)
@click.option("--max-total-trials", type=_Limit(int), help="Trials in all.")
@click.option("--max-concurrent-trials", type=_Limit(int), help="Trials at once.")
@click.option("--timeout", type=_Limit(float), help="Seconds since the sweep started.")
@output_option
def limits(ref: str, output: Output, **given: float | str | None) -> None:
    """Raise, lower or take away (none) limits of a sweep that has not ended."""
    changes = {
        name: None if value == "none" else value
        for name, value in given.items()
        if value is not None
    }
    if not changes:
        raise click.UsageError("Give at least one limit.")
    with open_client() as client:
        sweep = find_sweep(client, ref)
        found = client.sweeps.set_limits(sweep["id"], **changes)  # type: ignore[arg-type]
    _tell(found, output=output)
    asked, given_out = changes.get("max_total_trials"), found["sweep"]["limits"]["max_total_trials"]
    if asked is not None and given_out is not None and given_out > int(asked):
        talk(f"{given_out} trials had begun already: they count, and no others are begun.")


def find_sweep(client: Client, ref: str) -> Job:
    """The sweep that `ref` means, or the one below that job: the only one, or the one that runs.

    Raises ConflictError where there is none, or more than one.
    """
    from mlq.cli.job_view import walk
    from mlq.errors import ConflictError

    found = client.jobs.get(ref, depth=8)
    if found.get("sweep"):
        return found
    below = [row.job for row in walk(found) if row.job.get("sweep")]
    running = [one for one in below if one["state"] == "running"]
    for found_below in (below, running):
        if len(found_below) == 1:
            return found_below[0]
    if below:
        listed = ", ".join(f"{one['path']} ({one['id'][:16]})" for one in below)
        raise ConflictError(
            f"The job has {len(below)} sweeps.", code="ambiguous", hint=f"Name one: {listed}."
        )
    raise ConflictError(
        f"The job is a {found['type']} without a sweep.",
        code="not_a_sweep",
        hint="`mlq job list` shows others.",
    )


def require_replaceable(to: Path) -> None:
    """Refuse to overwrite a file that is no earlier export of trials. Raises ConflictError."""
    from mlq.errors import ConflictError

    if not to.exists():
        return
    begins = b"SQLite format 3\0" if to.suffix == ".db" else b"number,state,"
    if to.is_file():
        with to.open("rb") as file:
            if file.read(len(begins)) == begins:
                return
    raise ConflictError(
        f"{to} is there already, and was not exported from trials.",
        code="file_exists",
        hint="Choose another name, or overwrite it with --force.",
    )


def require_metric(sort: str, found: Sequence[Trial]) -> None:
    """Raise MlqError (code `invalid`) where trials are sorted by a metric that none of them has."""
    from mlq.errors import MlqError, nearest

    metric = sort.partition("metric:")[2]
    known = sorted({name for trial in found for name in trial.get("metrics") or {}})
    if not metric or not known or metric in known:
        return
    guess = nearest(metric, known)
    raise MlqError(
        f"No trial has a metric '{metric}' to sort by.",
        code="invalid",
        hint=f"Did you mean 'metric:{guess}'?" if guess else f"There are {', '.join(known)}.",
    )


def parse_point(text: str) -> dict[str, Any]:
    """`lr=0.1,depth=3` or a JSON mapping as parameters. Raises UsageError."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise click.UsageError(f"--add '{text}' is not JSON: {error}.") from None
        assert isinstance(found, dict), "it begins with a brace"
        return found
    point: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--add '{text}': '{part}' is not NAME=VALUE.")
        if name.strip() in point:
            raise click.UsageError(f"--add '{text}': '{name.strip()}' is given twice.")
        point[name.strip()] = _parse_value(value.strip())
    return point


def _parse_value(text: str) -> Any:
    for read in (int, float, json.loads):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _tell(found: Job, *, output: Output) -> None:
    from mlq.cli.job_view import render_job_in_short

    output.one(found, name=found["id"], render=lambda: render_job_in_short(found))

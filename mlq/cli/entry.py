"""`mlq`: the root command, and how errors become words and exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import IO

import click

from mlq import __version__
from mlq.cli.lazy import LazyGroup
from mlq.errors import MlqError, SpecError

#: What a script can tell apart. 1 is also any other error.
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_FORBIDDEN = 4
EXIT_NOT_FOUND = 5
EXIT_TIMED_OUT = 124
EXIT_INTERRUPTED = 130

_EXIT_BY_CODE = {
    "unauthorized": EXIT_FORBIDDEN,
    "forbidden": EXIT_FORBIDDEN,
    "not_found": EXIT_NOT_FOUND,
    "invalid": EXIT_USAGE,
    "settings": EXIT_USAGE,
    "usage": EXIT_USAGE,
    "unreachable": EXIT_UNREACHABLE,
    "unavailable": EXIT_UNREACHABLE,
    "timed_out": EXIT_TIMED_OUT,
}

COMMANDS = {
    "demo": ("mlq.cli.demo:demo", "Watch the whole loop on a real dataset, in a minute."),
    "up": ("mlq.cli.server:up", "Start everything on this machine."),
    "run": ("mlq.cli.run:run", "Run a pipeline of Python functions, here or on a server."),
    "job": ("mlq.cli.job:job", "Submit, watch, stop and resume jobs."),
    "data": ("mlq.cli.data:data", "Named, versioned datasets."),
    "component": ("mlq.cli.component:component", "What steps can be made of."),
    "environment": (
        "mlq.cli.environment:environment",
        "Python requirements that commands run in, by name and version.",
    ),
    "model": ("mlq.cli.model:model", "Registered models: promote, roll back, download."),
    "online-endpoint": ("mlq.cli.endpoint:endpoint", "Stable names that answer predictions."),
    "online-deployment": ("mlq.cli.deployment:deployment", "Models behind an endpoint."),
    "batch-endpoint": ("mlq.cli.batch_endpoint:batch_endpoint", "Published pipelines and models."),
    "batch-deployment": (
        "mlq.cli.batch_endpoint:batch_deployment",
        "What a batch endpoint does with its inputs.",
    ),
    "approval": ("mlq.cli.approval:approval", "Steps that wait for a person."),
    "webhook": ("mlq.cli.webhook:webhook", "Who is told of events."),
    "schedule": ("mlq.cli.schedule:schedule", "Jobs that start by time, data or webhook."),
    "rollout": ("mlq.cli.rollout:rollout", "Bring a version to production by stages."),
    "worker": ("mlq.cli.worker:worker", "Start a worker here, or list all."),
    "queue": ("mlq.cli.worker:queue", "What waits, and who serves it."),
    "limit": ("mlq.cli.limit:limit", "How many steps run at once, on all machines."),
    "quota": ("mlq.cli.limit:quota", "How many slots a project may have."),
    "token": ("mlq.cli.token:token", "Access tokens."),
    "secret": ("mlq.cli.secret:secret", "What steps get as environment variables."),
    "project": ("mlq.cli.project:project", "What keeps teams apart."),
    "import": ("mlq.cli.imports:import_group", "Bring over what other servers hold."),
    "doctor": ("mlq.cli.doctor:doctor", "Check everything and name the fix."),
    "api": ("mlq.cli.server:api", "Start the API alone."),
    "serve": ("mlq.cli.server:serve", "Start the model server alone."),
    "db": ("mlq.cli.server:db", "Look after the database."),
}


@click.group(
    cls=LazyGroup,
    targets=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="New here? `mlq demo` shows it all; `mlq up` starts it for you to use.",
)
@click.version_option(__version__, prog_name="mlq")
def root() -> None:
    """mlq: an ML pipeline platform you own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    Data goes to stdout; everything that is said about it, errors included, to stderr.
    """
    # `-o json` asks for errors as JSON too; where parsing fails, click knows no options yet
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = not {"-ojson", "-o=json", "--output=json"}.isdisjoint(words) or any(
        pair in (("-o", "json"), ("--output", "json")) for pair in pairwise(words)
    )
    try:
        result = root.main(words, prog_name="mlq", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        path = context.command_path if context is not None else "mlq"
        usage = MlqError(_say_usage(error), code="usage", hint=f"See `{path} --help`.")
        report(usage, as_json=as_json)
        return EXIT_USAGE
    except MlqError as error:
        report(error, as_json=as_json)
        return exit_code(error)
    except BrokenPipeError:
        # whoever read has seen enough (`mlq job list | head`); flushing at exit would fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except OSError as error:
        report(_explain(error), as_json=as_json)
        return EXIT_FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED


def exit_code(error: MlqError) -> int:
    """The exit code of an error, by its code."""
    if error.code.startswith("database_"):
        return EXIT_UNREACHABLE
    if isinstance(error, SpecError):
        return EXIT_USAGE
    return _EXIT_BY_CODE.get(error.code, EXIT_FAILED)


def report(error: MlqError, *, as_json: bool = False, to: IO[str] | None = None) -> None:
    """Say an error on stderr: what happened, and the next thing to try."""
    to = to or sys.stderr
    if as_json:
        print(json.dumps({"error": error.as_dict()}), file=to)
        return
    for index, line in enumerate((error.message or type(error).__name__).splitlines()):
        mark = click.style("error:", fg="red", bold=True) if index == 0 else "      "
        click.echo(f"{mark} {line}", file=to, color=None if _colored(to) else False)
    for index, line in enumerate(error.hint.splitlines()):
        mark = click.style("hint:", fg="cyan") if index == 0 else "     "
        click.echo(f"{mark} {line}", file=to, color=None if _colored(to) else False)


def _explain(error: OSError) -> MlqError:
    """A file that cannot be read or written, in words; of a server's sockets nobody asks here."""
    where = f"{error.filename}: " if error.filename is not None else ""
    words = error.strerror or str(error) or type(error).__name__
    return MlqError(
        f"{where}{words}.", code="file_failed", hint="Name another file or folder, or mend it."
    )


def _say_usage(error: click.ClickException) -> str:
    """What is wrong with the command line; of several words that may be meant, the nearest."""
    if isinstance(error, click.NoSuchCommand | click.NoSuchOption) and error.possibilities:
        return f"{error.message} Did you mean '{error.possibilities[0]}'?"
    return error.format_message()


def _colored(stream: IO[str]) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")

"""The reference of the command line, as Markdown: `python -m mlq.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mlq.cli.entry import root

_HEAD = """\
# Command line

Made by `python -m mlq.cli.reference > docs/reference/cli.md` from the commands themselves; a test
compares the two.

**Output.** Data goes to stdout, everything said about it to stderr. `-o table` (the default) is for
people: in color on a terminal unless `NO_COLOR` is set, plain columns elsewhere. `-o json` is for
programs, errors included (`{"error": {"code", "message", "hint"}}` on stderr). `-o name` prints ids
or names only, one a line.

**Names.** A job is named by its id, a unique beginning of it (6 digits or more), its name, or
`@last`. Where a name stands first, `-n NAME` does as well. A version is written `NAME:3`,
`NAME@production`, or `-v 3`.

**Server.** `MLQ_API_URL` and `MLQ_TOKEN`; when they are not set, the `mlq up` of this machine
(`MLQ_HOME/server.json` and `MLQ_HOME/token`).

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the job failed, or another error |
| 2 | wrong usage, or a job file that is wrong |
| 3 | no server reachable |
| 4 | not allowed |
| 5 | not found |
| 124 | timed out; the job goes on |
| 130 | interrupted with Ctrl-C |
"""


def render() -> str:
    """The whole page."""
    context = click.Context(root, info_name="mlq")
    sections = [_HEAD.rstrip()]
    for command in _walk(root, context):
        sections.append("\n".join(_describe(*command)).rstrip())
    return "\n\n".join(sections) + "\n"


def _walk(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    if not isinstance(command, click.Group):
        yield command, context
        return
    if command is not root:
        yield command, context
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None, f"{name} is listed"
        yield from _walk(child, click.Context(child, parent=context, info_name=name))


def _describe(command: click.Command, context: click.Context) -> Iterator[str]:
    level = "##" if context.parent is not None and context.parent.parent is None else "###"
    yield f"{level} {context.command_path}"
    yield ""
    usage = " ".join(piece.strip() for piece in command.collect_usage_pieces(context))
    yield f"`{context.command_path} {usage}`"
    yield ""
    yield "\n".join(line.strip() for line in (command.help or "").strip().splitlines())
    rows = [
        record
        for parameter in command.get_params(context)
        if "--help" not in parameter.opts
        and (record := parameter.get_help_record(context))
        and record[1]  # an argument without words stands in the usage line already
    ]
    if rows:
        yield "\n| option | meaning |\n|---|---|"
    for options, meaning in rows:
        # inside a table a bar ends the cell, also between backticks
        cells = (f"`{options}`", " ".join(meaning.split()))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(render(), end="")

"""The reference page is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

import click

from mlq.cli.entry import root
from mlq.cli.reference import render

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "cli.md"


def parameters(command: click.Command, context: click.Context) -> list[tuple[str, click.Option]]:
    """Every option of every command, with the command's path."""
    found = [
        (context.command_path, parameter)
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            inner = click.Context(child, parent=context, info_name=name)
            found += parameters(child, inner)
    return found


def test_the_page_is_current() -> None:
    """Make it anew with `python -m mlq.cli.reference > docs/reference/cli.md`."""
    assert PAGE.read_text() == render()


def test_every_option_is_on_the_page_and_every_result_can_be_json() -> None:
    page = PAGE.read_text()
    found = parameters(root, click.Context(root, info_name="mlq"))
    for path, option in found:
        if path != "mlq":
            section = page.partition(f"# {path}\n")[2].partition("\n#")[0]
            assert all(spelling in section for spelling in option.opts), (path, option.opts)
    with_output = {path for path, option in found if "--output" in option.opts}
    long_running = {"mlq worker", "mlq api", "mlq serve", "mlq"}
    assert {path for path, _ in found} - with_output == long_running

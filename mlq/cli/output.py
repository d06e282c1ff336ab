"""What commands print: data on stdout in the form that `-o` asks for, talk on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

FORMATS = ("table", "json", "name")
Function = TypeVar("Function", bound=Callable[..., Any])
Item = Mapping[str, Any]
#: Blanks before a note below a line of a table.
_NOTE_INDENT = 4
_NARROWEST = 8
_NARROWEST_FOLDED = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. read: the cell's text; style: its color on a terminal."""

    title: str
    read: Callable[[Item], str]
    style: Callable[[Item], str] = lambda item: ""
    right: bool = False
    #: may be cut where the terminal is narrow
    flexible: bool = False


class Output:
    """Prints results. form: table, json or name."""

    def __init__(self, form: str) -> None:
        self.form = form

    def list(
        self,
        items: Iterable[Item],
        columns: Sequence[Column],
        *,
        name: Callable[[Item], str],
        note: Callable[[Item], str] = lambda item: "",
        empty: str = "",
    ) -> None:
        """Print many things, one a line.

        note: text that no column has room for: below the line on a terminal, at its end elsewhere.
        empty: said on stderr when there is none.
        """
        found = list(items)
        if self.form == "json":
            print_json(found)
        elif self.form == "name":
            for item in found:
                print(name(item))
        elif not found:
            talk(empty)
        elif sys.stdout.isatty():
            print_noted(make_console(), found, columns, note=note)
        else:
            _print_lines(found, columns, note=note)

    def one(
        self, item: Any, *, name: str, render: Callable[[], RenderableType] | None = None
    ) -> None:
        """Print one thing; as a table of its fields where there is nothing better."""
        if self.form == "json":
            print_json(item)
        elif self.form == "name":
            print(name)
        else:
            print_block(render() if render is not None else fields(item))


def output_option(function: Function) -> Function:
    """Add `-o table|json|name`, given to the command as an Output named `output`."""

    def convert(ctx: click.Context, param: click.Parameter, value: str) -> Output:
        return Output(value)

    option = click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        callback=convert,
        help="How to print the result.",
    )
    return option(function)


def talk(text: str) -> None:
    """Say something beside the data, on stderr."""
    if text:
        print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, in one piece."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; away from a terminal plain and wide, so nothing is cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # COLUMNS and the like describe the terminal of the user, not the file that is written
    width = None if stream.isatty() else 200
    return Console(file=stream, highlight=False, width=width, emoji=False, markup=False)


def print_block(renderable: RenderableType) -> None:
    """Print something that rich renders, without the blanks that it pads lines with."""
    print_stripped(make_console(), renderable)


def print_stripped(console: Console, renderable: RenderableType) -> None:
    """Print to a console; without the blanks that pad lines where it is no terminal."""
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        print(line.rstrip(), file=console.file)


def fields(item: Item) -> RenderableType:
    """A thing as lines of `name  value`; what is empty is left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for key, value in item.items():
        if value in (None, "", [], {}):
            continue
        plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        grid.add_row(Text(key.replace("_", " ")), Text(plain))
    return grid


def is_quiet() -> bool:
    """Whether stderr is not a terminal: then progress is said in lines, not drawn."""
    return not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"


def make_table(
    items: Sequence[Item],
    columns: Sequence[Column],
    *,
    width: int | None = None,
    fold: bool = False,
) -> RenderableType:
    """A table without lines.

    width: of the terminal; flexible columns are cut to fit into it, the first of them first. fold:
    wrap them, the last of them first, so that nothing is lost.
    """
    from rich.table import Table
    from rich.text import Text

    gap = 2
    widths = [_width(items, column) for column in columns]
    over = sum(widths) + gap * (len(columns) - 1) - (width or 10_000)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    sizes = dict(enumerate(widths))
    for index in reversed(sizes) if fold else sizes:
        column, natural = columns[index], widths[index]
        if column.flexible and over > 0:
            least = _NARROWEST_FOLDED if fold else _NARROWEST
            sizes[index] = min(natural, max(natural - over, len(column.title), least))
            over -= natural - sizes[index]
    for column, size in zip(columns, sizes.values(), strict=True):
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not (fold and column.flexible),
            overflow="fold" if fold and column.flexible else "ellipsis",
            width=size,
        )
    for item in items:
        table.add_row(*(Text(c.read(item), style=c.style(item)) for c in columns))
    return table


def print_noted(
    console: Console,
    items: Sequence[Item],
    columns: Sequence[Column],
    *,
    note: Callable[[Item], str],
) -> None:
    """A table as wide as the console, with the note of an item, wrapped, below its line."""
    from rich.padding import Padding
    from rich.segment import Segment, Segments
    from rich.text import Text

    table = make_table(items, columns, width=console.width)
    if not any(note(item) for item in items):
        console.print(table)
        return
    head, *lines = console.render_lines(table, pad=False)
    console.print(Segments([*head, Segment.line()]), end="")
    for item, line in zip(items, lines, strict=True):
        console.print(Segments([*line, Segment.line()]), end="")
        if text := note(item):
            console.print(Padding(Text(text, style="red"), (0, 0, 0, _NOTE_INDENT)))


def _print_lines(
    items: Sequence[Item], columns: Sequence[Column], *, note: Callable[[Item], str]
) -> None:
    """Columns padded with blanks, nothing cut, a line each: for pipes and files."""
    rows = [[c.title for c in columns], *([c.read(item) for c in columns] for item in items)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    notes = ["", *(" ".join(note(item).split()) for item in items)]
    for row, text in zip(rows, notes, strict=True):
        cells = zip(row, widths, columns, strict=True)
        line = "  ".join(t.rjust(w) if c.right else t.ljust(w) for t, w, c in cells)
        print(f"{line}  {text}".rstrip())


def _width(items: Sequence[Item], column: Column) -> int:
    return max([len(column.title), *(len(column.read(item)) for item in items)])

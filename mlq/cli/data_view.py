"""How tables, their profiles and differences are shown on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlq.cli.output import Column, make_table

if TYPE_CHECKING:
    from rich.console import RenderableType


def preview_table(found: dict[str, Any]) -> RenderableType:
    """The first rows under the names of their columns."""
    columns = [
        Column(column["name"], lambda row, i=index: say_value(row["cells"][i]), flexible=True)  # type: ignore[misc]
        for index, column in enumerate(found["columns"])
    ]
    return make_table([{"cells": row} for row in found["rows"]], columns)


def profile_table(found: dict[str, Any], *, width: int) -> RenderableType:
    """A line for each column, or several where the terminal is narrow. width: of the terminal."""
    columns = [
        Column("COLUMN", lambda c: str(c["name"]), flexible=True),
        Column("TYPE", lambda c: str(c["type"])),
        Column("MISSING", lambda c: _say_share(c["missing_share"]), right=True),
        Column("DISTINCT", _say_distinct, right=True),
        Column("VALUES", _say_values, flexible=True),
    ]
    return make_table(found["columns"], columns, width=width, fold=True)


def difference_table(found: dict[str, Any]) -> RenderableType:
    """What became of rows and schema, and a line for each column that both versions have."""
    from rich.console import Group
    from rich.text import Text

    rows, schema = found["rows"], found["schema"]
    lines = [f"{found['before']} → {found['after']}: {rows['before']} → {rows['after']} rows"]
    if rows["added"] is not None:
        lines[0] += f", {rows['added']} added, {rows['removed']} removed"
    for word in ("added", "removed"):
        if schema[word]:
            lines.append(f"columns {word}: {', '.join(schema[word])}")
    for one in schema["changed"]:
        lines.append(f"{one['name']}: {one['before']} → {one['after']}")
    columns = [
        Column("COLUMN", lambda c: str(c["name"]), flexible=True),
        Column("TYPE", lambda c: str(c["type"])),
        Column("MISSING", lambda c: _say_change(c.get("missing_share"), _say_share)),
        Column("DISTINCT", lambda c: _say_change(c.get("distinct"), say_value)),
        Column("MEAN", lambda c: _say_change(c.get("mean"), say_value)),
        Column("PSI", lambda c: say_value(c.get("psi")), right=True),
        Column("KS", lambda c: say_value(c.get("ks")), right=True),
        Column("DRIFT", lambda c: c.get("drift") or ""),
    ]
    return Group(Text("\n".join(lines)), make_table(found["columns"], columns))


def say_value(value: Any) -> str:
    """A cell; numbers with four digits that matter."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _say_share(value: float) -> str:
    return f"{value:.1%}"


def _say_distinct(column: Any) -> str:
    return str(column["distinct"]) if column["distinct_is_exact"] else f"~{column['distinct']}"


def _say_values(column: Any) -> str:
    """`0.5 to 9, median 3, mean 3.2`, or the most frequent with how often they are there."""
    if column.get("min") is None:
        top = (column.get("top") or [])[:3]
        return ", ".join(f"{one['value']} ({one['count']})" for one in top)
    ends = [say_value(column[name]).removesuffix("T00:00:00") for name in ("min", "max")]
    words = [" to ".join(ends)]
    facts = {"median": (column.get("quantiles") or {}).get("0.5"), "mean": column.get("mean")}
    words += [f"{name} {say_value(value)}" for name, value in facts.items() if value is not None]
    return ", ".join(words)


def _say_change(pair: Any, say: Any) -> str:
    if pair is None:
        return ""
    before, after = say(pair["before"]), say(pair["after"])
    return before if before == after else f"{before} → {after}"

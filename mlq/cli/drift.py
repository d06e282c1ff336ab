"""How far what endpoints are asked has moved from what their models were trained on, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlq.cli.output import Item

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES = {"large": "red", "moderate": "yellow"}


def render_drift(report: Item) -> RenderableType:
    """One deployment: its features, its predictions, and what went over a limit."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text.assemble((f"{report['deployment']}", "bold"), f"  {report['model']}")
    if report["at"] is None:
        return Group(head, Text(say_missing(report), style="dim"))
    lines = [head, Text(f"{report['rows']} rows, as of {report['at'][:16].replace('T', ' ')}")]
    if live := say_live(report["live"]):
        lines.append(Text(live))
    if not report["has_profile"]:
        lines.append(Text("The model has no training profile: train it again.", style="dim"))
        return Group(*lines)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("COLUMN", "DRIFT", "PSI", "KS", "CHI2", "P", "MISSING", "STRANGE"):
        left = title in ("COLUMN", "DRIFT")
        table.add_column(title, no_wrap=True, justify="left" if left else "right")
    for item in [report["prediction"], *report["features"]]:
        word = item.get("drift") or "-"
        table.add_row(
            str(item["name"]),
            Text(word, style=_STYLES.get(word, "")),
            _say(item.get("psi")),
            _say(item.get("ks")),
            _say(item.get("chi_square")),
            _say(item.get("p_value")),
            f"{item['missing']:.1%}",
            _percent(item.get("unknown", item.get("out_of_range"))),
        )
    breaches = [Text(f"over its limit: {one}", style="red") for one in report["breaches"]]
    return Group(*lines, table, *breaches)


def say_missing(report: Item) -> str:
    """Why there is no report yet."""
    if not report["sampling_rate"]:
        return "Nothing is sampled: give the deployment data_collector: {sampling_rate: 0.1}."
    return "Not looked at yet."


def say_live(live: Item) -> str:
    """`accuracy 0.91 of 120 rows`; nothing where no truth is known."""
    told = " ".join(
        f"{word} {live[key]:.4g}"
        for key, word in (("accuracy", "accuracy"), ("mae", "MAE"), ("rmse", "RMSE"))
        if live.get(key) is not None
    )
    return f"{told} of {live['truths']} rows whose truth is known" if told else ""


def _say(value: Any) -> str:
    return "" if value is None else f"{value:.3g}"


def _percent(value: Any) -> str:
    return "" if value is None else f"{value:.1%}"

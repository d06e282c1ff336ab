"""Model cards: what there is to know of a version, on one page, as Markdown and as HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0}td,th{border:1px solid #d4d4d8;"
    "padding:.25rem .6rem;text-align:left;vertical-align:top}th{background:#f4f4f5}"
    "img{max-width:100%}code{overflow-wrap:anywhere}"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a card; rows of texts as long as `head`."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Card:
    """uri: of the version. facts: (name, text) pairs; plots: file name -> PNG; requirements: lines
    of a requirements file."""

    uri: str
    description: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    requirements: Sequence[str] = ()
    plots: Mapping[str, bytes] = field(default_factory=dict)


def make_card(
    version: Mapping[str, Any],
    *,
    lineage: Mapping[str, Any],
    code: Sequence[tuple[str, str]],
    moves: Iterable[Mapping[str, Any]],
    folds: Mapping[str, float],
    metadata: Mapping[str, Any],
    requirements: Sequence[str],
    plots: Mapping[str, bytes],
) -> Card:
    """The card of a version.

    version: as the API answers it. lineage: as `mlq.service.lineage` writes it. code: (step, digest
    of its definition). moves: of aliases to or from this version. folds: metrics of the steps, with
    the standard deviation over folds of each as NAME_std. metadata: mlq's, of the package.
    """
    report = version["report"] or {}
    facts = [
        ("Version", version["uri"]),
        ("Aliases", ", ".join(version["aliases"]) or "none"),
        ("Made", f"{version['created_at']} by {version['created_by']}"),
        ("Package", f"sha256 {version['digest']}"),
        ("Task", str(metadata.get("task") or report.get("task") or "unknown")),
        ("Target", str(metadata.get("target") or report.get("target") or "unknown")),
        ("Estimator", str(metadata.get("estimator") or "unknown")),
    ]
    upstream = lineage["upstream"]
    tables = [
        Table(
            "Data",
            ["version", "given to"],
            [[node["uri"], node["note"]] for node in upstream if node["kind"] != "job"],
        ),
        Table(
            "Parameters",
            ["name", "value"],
            [
                [name, _text(value)]
                for name, value in sorted((metadata.get("params") or {}).items())
            ],
        ),
        Table("Metrics", ["metric", "value"], _metrics(version, report)),
        Table("Cross-validation", ["metric", "mean ± deviation over folds"], _folds(folds)),
        Table("Compared with", ["champion", "metric", "gain", "95 % interval"], _gain(report)),
        Table("Code", ["step", "sha256 of its definition"], [list(pair) for pair in code]),
        Table("Made by", ["job", "step"], _nodes(upstream, "job")),
        Table("Used by", ["what", "how"], [[n["uri"], n["note"]] for n in lineage["downstream"]]),
        Table(
            "Promotions",
            ["when", "who", "how", "alias", "from", "to", "why"],
            [
                [
                    str(move["at"]),
                    move["actor"],
                    move["act"],
                    move["alias"],
                    _text(move["previous"]),
                    _text(move["version"]),
                    move["reason"],
                ]
                for move in moves
            ],
        ),
    ]
    return Card(
        version["uri"],
        version["description"],
        facts,
        [table for table in tables if table.rows],
        requirements,
        plots,
    )


def as_markdown(card: Card) -> str:
    """The card as Markdown; plots are named, as their files are not part of it."""
    lines = [f"# {_cell(card.uri)}", ""]
    if card.description:
        lines += [_cell(card.description), ""]
    lines += [f"- **{name}:** {_cell(text)}" for name, text in card.facts]
    for table in card.tables:
        lines += ["", f"## {table.title}", ""]
        lines.append(f"| {' | '.join(table.head)} |")
        lines.append("|" + "---|" * len(table.head))
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in table.rows]
    if card.requirements:
        lines += ["", "## Environment", "", *(f"    {line}" for line in card.requirements)]
    if card.plots:
        lines += ["", "## Plots", "", *(f"- {_cell(name)}" for name in card.plots)]
    return "\n".join([*lines, ""])


def as_html(card: Card) -> str:
    """The card as one HTML file that needs nothing else, plots included."""
    parts = [f"<h1>{escape(card.uri)}</h1>"]
    if card.description:
        parts.append(f"<p>{escape(card.description)}</p>")
    facts = [[name, text] for name, text in card.facts]
    parts.append(_html_table([], facts))
    for table in card.tables:
        parts += [f"<h2>{escape(table.title)}</h2>", _html_table(table.head, table.rows)]
    if card.requirements:
        parts.append(f"<h2>Environment</h2><pre>{escape(chr(10).join(card.requirements))}</pre>")
    for name, image in card.plots.items():
        source = f"data:image/png;base64,{base64.b64encode(image).decode()}"
        parts.append(f'<h2>{escape(name)}</h2><img alt="{escape(name)}" src="{source}">')
    title = escape(card.uri)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _metrics(version: Mapping[str, Any], report: Mapping[str, Any]) -> list[list[str]]:
    directions = report.get("directions") or {}
    words = {"maximize": "larger is better", "minimize": "smaller is better"}
    return [
        [
            f"{name} ({words[directions[name]]})" if directions.get(name) in words else name,
            _text(value),
        ]
        for name, value in version["metrics"].items()
    ]


def _folds(metrics: Mapping[str, float]) -> list[list[str]]:
    return [
        [name, f"{value:.4g} ± {metrics[f'{name}_std']:.2g}"]
        for name, value in sorted(metrics.items())
        if f"{name}_std" in metrics
    ]


def _gain(report: Mapping[str, Any]) -> list[list[str]]:
    compared = report.get("comparison") or {}
    if compared.get("gain") is None:
        return []
    interval = compared.get("interval") or {}
    spread = f"{_text(interval['low'])} to {_text(interval['high'])}" if interval else "unknown"
    champion, metric = compared.get("champion"), compared.get("metric")
    return [[_text(champion), _text(metric), _text(compared["gain"]), spread]]


def _nodes(nodes: Iterable[Mapping[str, str]], kind: str) -> list[list[str]]:
    return [[node["uri"], node["note"]] for node in nodes if node["kind"] == kind]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    """Text that stays where it is put: on one line, without Markdown or HTML of its own."""
    plain = " ".join(text.split()).replace("\\", "\\\\")
    for char in "|<*`[":
        plain = plain.replace(char, f"\\{char}")
    return plain


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"

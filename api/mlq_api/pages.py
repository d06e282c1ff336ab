"""A few plain pages for people: no scripts, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fastapi.responses import HTMLResponse

from mlq_api.guards import PAGE_POLICY

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
nav { display: flex; gap: 1.25rem; border-bottom: 1px solid #8884; padding-bottom: .5rem; }
nav b { flex: 1; } nav form { display: inline; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8883;
  vertical-align: top; }
code, pre, .id { font-family: ui-monospace, monospace; font-size: .9em; }
pre { white-space: pre-wrap; background: #8881; padding: .75rem; }
.succeeded { color: #1a7f37; } .failed { color: #cf222e; } .running { color: #0969da; }
.canceled, .skipped, .pending, .queued { color: #6e7781; }
input { font: inherit; padding: .3rem; width: 28rem; max-width: 100%; }
button { font: inherit; }
"""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Anything as HTML: escaped, unless it is Markup."""
    if isinstance(value, Markup):
        return value
    return Markup(escape("" if value is None else str(value)))


def link(address: str, label: object, *, css: str = "") -> Markup:
    """A link."""
    mark = f' class="{escape(css)}"' if css else ""
    return Markup(f'<a href="{escape(address)}"{mark}>{text(label)}</a>')


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> Markup:
    """A table, or the sentence `empty`."""
    body = "".join(
        "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    if not body:
        return Markup(f"<p>{text(empty)}</p>")
    head = "".join(f"<th>{text(heading)}</th>" for heading in headings)
    return Markup(f"<table><tr>{head}</tr>{body}</table>")


def page(
    title: str, *parts: object, root: str = "", navigation: bool = True, status: int = 200
) -> HTMLResponse:
    """A whole page. root: the prefix that addresses have behind a proxy."""
    links = ""
    if navigation:
        links = (
            f"<nav><b>{link(f'{root}/', 'mlq')}</b>{link(f'{root}/flower/', 'Flower')}"
            f"{link(f'{root}/docs', 'API')}"
            f'<form method="post" action="{escape(root)}/logout"><button>Log out</button></form>'
            "</nav>"
        )
    body = "".join(text(part) for part in parts)
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{text(title)}</title><style>{_STYLE}</style>{links}<h1>{text(title)}</h1>{body}",
        status_code=status,
        headers={"content-security-policy": PAGE_POLICY, "cache-control": "no-store"},
    )


def heading(words: str) -> Markup:
    """A section's heading."""
    return Markup(f"<h2>{text(words)}</h2>")


def state(job: Mapping[str, Any]) -> Markup:
    """A job's state, with its reason and why it waits."""
    words = " ".join(filter(None, (job["state"], job["reason"] and f"({job['reason']})")))
    waits = f" <small>{text(job['waiting_for'])}</small>" if job.get("waiting_for") else ""
    return Markup(f'<span class="{escape(job["state"])}">{text(words)}</span>{waits}')


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def job_rows(jobs: Iterable[Mapping[str, Any]], *, root: str) -> list[list[object]]:
    """Rows of a table of jobs: name, state, duration, metrics, submitted by, created."""
    return [
        [
            link(f"{root}/jobs/{job['id']}", job["path"] or job["display_name"] or job["name"]),
            state(job),
            seconds(job["duration_s"]),
            metrics(job["metrics"]),
            job["worker"] or job["submitted_by"],
            (job["started_at"] or job["created_at"])[:19].replace("T", " "),
        ]
        for job in jobs
    ]


def metrics(values: Mapping[str, float]) -> str:
    """The first few metrics."""
    shown = [f"{key} {value:.4g}" for key, value in values.items() if value is not None]
    return ", ".join(shown[:3]) + (" …" if len(shown) > 3 else "")

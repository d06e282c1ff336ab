"""Numbers, times and states as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from mlq.ids import SHORT_ID_LENGTH

#: state -> (symbol, style)
STATES: Mapping[str, tuple[str, str]] = {
    "pending": ("○", "dim"),
    "queued": ("○", "yellow"),
    "running": ("●", "cyan"),
    "waiting": ("◐", "yellow"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "canceled": ("■", "magenta"),
    "skipped": ("–", "dim"),
}


def short_id(text: str | None) -> str:
    """The first 16 digits of an id, enough to name it."""
    return (text or "")[:SHORT_ID_LENGTH]


def say_state(state: str, reason: str | None = None) -> str:
    """A state and why: `failed (rejected)`.

    Why a step was skipped takes a sentence, which stands at the end of its line: `upstream` is also
    the reason of steps that needed nothing of the one that failed.
    """
    return f"{state} ({reason})" if reason and reason not in ("error", "upstream") else state


def say_duration(seconds: float | None) -> str:
    """`0.08 s`, `2.4 s`, `3 min 05 s`, `2 h 10 min`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def parse_time(text: str | None) -> datetime | None:
    """An ISO 8601 time of the API."""
    return None if not text else datetime.fromisoformat(text).astimezone(UTC)


def say_age(text: str | None, *, now: datetime) -> str:
    """How long ago: `just now`, `40 s ago`, `5 min ago`, `2 d ago`; the date after a week."""
    then = parse_time(text)
    if then is None:
        return ""
    seconds = (now - then).total_seconds()
    if seconds < 2:
        return "just now"
    for limit, unit, name in (
        (60, 1, "s"),
        (3600, 60, "min"),
        (86400, 3600, "h"),
        (604800, 86400, "d"),
    ):
        if seconds < limit:
            return f"{int(seconds // unit)} {name} ago"
    return then.date().isoformat()


def say_size(size: int | None) -> str:
    """Bytes in binary units: `812 B`, `1.4 MiB`."""
    if size is None:
        return ""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def say_number(value: float | None, *, digits: int = 4) -> str:
    """A metric in so many significant digits, whole numbers whole; None stands for NaN."""
    if value is None:
        return "nan"
    return str(int(value)) if value == int(value) and abs(value) < 1e6 else f"{value:.{digits}g}"


def pick_metrics(
    metrics: Mapping[str, float | None] | None, *, limit: int = 2
) -> list[tuple[str, float | None]]:
    """The metrics to show where room is scarce: what judges a model, spreads and folds left out."""
    names = [
        name for name in metrics or {} if not name.endswith(("_std", "_fold", "_low", "_high"))
    ]
    names = [name for name in names if not name.startswith(("fold", "n_", "rows", "champion"))]
    ranked = sorted(names, key=lambda name: (_rank(name), names.index(name)))
    return [(name, (metrics or {})[name]) for name in ranked[:limit]]


_FAVORITES = ("accuracy", "roc_auc", "r2", "f1", "rmse", "mae", "loss", "score")


def _rank(name: str) -> int:
    for rank, word in enumerate(_FAVORITES):
        if word in name:
            return rank
    return len(_FAVORITES)

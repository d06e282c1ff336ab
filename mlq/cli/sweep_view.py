"""Sweeps as text: how far they are, what is best so far, and their trials as a table."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlq.cli.output import Column, Item
from mlq.cli.words import STATES, say_duration, say_number, say_state, short_id
from mlq.client.documents import Job, Sweep

#: What a trial ends as.
_ENDS = ("succeeded", "failed", "pruned", "canceled")
#: An end is foretold from what the last so many seconds brought.
_LOOKED_BACK_S = 60.0
_MAX_SAMPLES = 64


class Pace:
    """How fast a sweep gets on, as somebody sees it who looks now and then."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_MAX_SAMPLES)

    def note(self, done: int, *, at: float) -> None:
        """So many trials had ended, at this time in seconds."""
        if self._samples and (done < self._samples[-1][1] or at - self._samples[-1][0] < 0.5):
            return
        self._samples.append((at, done))
        while at - self._samples[0][0] > _LOOKED_BACK_S and len(self._samples) > 2:
            self._samples.popleft()

    def foretell(self, left: int) -> float | None:
        """Seconds until so many more have ended; None where nothing can be said yet."""
        if len(self._samples) < 2:
            return None
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return left * (ended - began) / (after - before) if after > before else None


class Paces:
    """The paces of all sweeps of a job."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def note(self, job: Job, *, at: float) -> None:
        """Look at a job and all below it, at this time in seconds."""
        for one in _sweeps_of(job):
            self._paces.setdefault(one["id"], Pace()).note(count_done(one["sweep"]), at=at)

    def foretell(self, job: Job) -> float | None:
        """Seconds until a sweep will have ended; None where nothing can be said."""
        sweep = job["sweep"]
        pace, total = self._paces.get(job["id"]), sweep.get("total")
        if pace is None or total is None or job["state"] != "running" or sweep.get("paused_at"):
            return None
        return pace.foretell(max(total - count_done(sweep), 0))


def has_sweep(job: Job) -> bool:
    """Whether a job is a sweep, or has one below it."""
    return any(True for _ in _sweeps_of(job))


def _sweeps_of(job: Job) -> Iterator[Job]:
    if job.get("sweep"):
        yield job
    for child in job.get("children") or []:
        yield from _sweeps_of(child)


def count_done(sweep: Sweep) -> int:
    """Trials that have ended."""
    return sum(sweep["counts"].get(state, 0) for state in _ENDS)


def say_progress(job: Job, paces: Paces | None = None) -> str:
    """`12/40 trials  1 failed  30 s left  best roc_auc 0.93 (depth 3, lr 0.1)`.

    What may be long comes last, where a narrow terminal cuts it.
    """
    sweep = job["sweep"]
    done, total = count_done(sweep), sweep.get("total")
    words = [f"{done}/{total} trials" if total is not None else f"{done} trials"]
    counts = sweep["counts"]
    words += [f"{counts[name]} {name}" for name in ("running", "failed", "pruned") if counts[name]]
    if sweep.get("paused_at"):
        ends = total is not None and done >= total and job["state"] == "running"
        # nothing is left to try, and yet it does not end by itself
        words.append(f"paused: mlq job resume {short_id(job['id'])} ends it" if ends else "paused")
    if missed := say_missed(job):
        words.append(missed)
    left = paces.foretell(job) if paces is not None else None
    if left:
        words.append(f"{say_duration(left)} left")
    best = say_best(sweep)
    if best:
        words.append(f"best {best}")
    return "  ".join(words)


def say_missed(job: Job) -> str:
    """`target 0.9 was not reached`, of a sweep or a repeated one that ended without; else empty."""
    if job["state"] != "succeeded" or job.get("reason") == "target":
        return ""
    rule = (job.get("params") or {}).get("rounds") or {}
    rounds = job.get("children") or [] if rule.get("goal") else []
    tried = [one for one in rounds if one.get("sweep") and one["state"] == "succeeded"]
    sweeps = [job["sweep"]] if job.get("sweep") else [one["sweep"] for one in tried]
    target = sweeps[0]["objective"].get("target") if sweeps else None
    if target is None or any(_reaches(sweep, target) for sweep in sweeps):
        return ""
    words = f"target {say_number(target)} was not reached"
    return f"{words} in {len(tried)} rounds" if tried else words


def _reaches(sweep: Sweep, target: float) -> bool:
    best = sweep.get("best")
    if best is None:
        return False
    value = best["value"]
    return value >= target if sweep["objective"]["goal"] == "maximize" else value <= target


def say_best(sweep: Sweep) -> str:
    """`roc_auc 0.93 (lr 0.1, depth 3)`; empty before a trial has succeeded."""
    best = sweep.get("best")
    if best is None:
        return ""
    text = f"{sweep['objective']['primary_metric']} {say_number(best['value'])}"
    params = say_params(best["params"])
    return f"{text} ({params})" if params else text


def say_params(params: Mapping[str, Any] | None) -> str:
    """`depth 3, lr 0.1`."""
    return ", ".join(f"{name} {_say_value(value)}" for name, value in (params or {}).items())


def milestone(sweep: Sweep) -> tuple[int | None, int]:
    """What is worth a line: the best trial, and every tenth of the way, or twice as many trials."""
    done, total, best = count_done(sweep), sweep.get("total"), sweep.get("best")
    way = done * 10 // total if total else done.bit_length()
    return (best["number"] if best else None), way


def facts(sweep: Sweep) -> Iterator[tuple[str, str]]:
    """What `job show` says of a sweep: (label, words)."""
    objective, sampling = sweep["objective"], sweep["sampling"]
    text = f"{objective['goal']} {objective['primary_metric']}"
    if objective.get("target") is not None:
        text += f", until {say_number(objective['target'])}"
    yield "objective", text
    rule = sampling.get("rule")
    kind = f"{sampling['type']} ({rule})" if rule and rule != "random" else sampling["type"]
    yield "sampling", kind if kind == "grid" else f"{kind}, seed {sampling.get('seed', 0)}"
    policy = sweep.get("early_termination")
    if policy:
        yield "stops early", policy["type"].replace("_", " ")
    limits = ", ".join(_say_limits(sweep["limits"]))
    if limits:
        yield "limits", limits
    counts = [f"{count} {state}" for state, count in sweep["counts"].items() if count]
    total = sweep.get("total")
    of = f" of {total}" if total is not None else ""
    yield "trials", f"{sum(sweep['counts'].values())}{of}: {', '.join(counts) or 'none yet'}"
    best = sweep.get("best")
    if best:
        yield "best", f"trial {best['number']}: {say_best(sweep)}"


def _say_limits(limits: Mapping[str, float | None]) -> Iterator[str]:
    for name, words in (("max_total_trials", "trials"), ("max_concurrent_trials", "at once")):
        if limits.get(name) is not None:
            yield f"{limits[name]} {words}"
    for name, words in (("timeout", "in all"), ("trial_timeout", "a trial")):
        if limits.get(name) is not None:
            yield f"{say_duration(limits[name])} {words}"


def best_first(sweep: Sweep) -> str:
    """The order of trials that has the best at its top."""
    return "-value" if sweep["objective"]["goal"] == "maximize" else "value"


def trial_columns(sweep: Sweep, *, sort: str = "", with_state: bool = True) -> Sequence[Column]:
    """Columns for trials; with the metric that they are sorted by, where it is another one."""
    metric = sort.partition("metric:")[2]
    primary = sweep["objective"]["primary_metric"]
    columns = [Column("TRIAL", lambda trial: str(trial["number"]), right=True)]
    if with_state:
        columns.append(Column("STATE", _say_trial_state, style=_style_of))
    columns.append(Column(primary.upper(), lambda trial: _number(trial.get("value")), right=True))
    if metric and metric != primary:
        columns.append(
            Column(
                metric.upper(),
                lambda trial: _number((trial.get("metrics") or {}).get(metric)),
                right=True,
            )
        )
    return [
        *columns,
        Column("DURATION", lambda trial: say_duration(trial.get("duration_s")), right=True),
        Column("PARAMETERS", lambda trial: say_params(trial.get("params")), flexible=True),
    ]


def _style_of(trial: Item) -> str:
    return STATES.get(trial["state"], ("", ""))[1]


def _say_trial_state(trial: Item) -> str:
    return (
        "pruned"
        if trial.get("reason") == "pruned"
        else say_state(trial["state"], trial.get("reason"))
    )


def say_trial_error(trial: Item) -> str:
    """Why a trial failed; empty for others."""
    return ((trial.get("error") or {}).get("message") or "").strip()


def _number(value: float | None) -> str:
    return "" if value is None else say_number(value)


def _say_value(value: Any) -> str:
    if isinstance(value, float):
        return say_number(value)
    return value if isinstance(value, str) else json.dumps(value)

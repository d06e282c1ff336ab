"""The policy of a staged rollout, and its verdict on what was measured. Pure.

mirror: {percent: 100, bake_s: 60}
canary: [{percent: 5, bake_s: 300}, {percent: 50, bake_s: 300}]
abort: {error_rate: 0.01, p95_ms: 200, p95_ratio: 2.0, prediction_psi: 0.25, min_requests: 20,
        metrics: {conversion: {min: 0.02}, complaints: {max: 5}}}
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlq.errors import SpecError, SpecProblem, nearest

#: Upper bounds of the latency buckets in ms, each a quarter above the one before; the last is open.
BOUNDS_MS = tuple(round(0.5 * 1.25**step, 4) for step in range(54))
DEFAULT_MIN_REQUESTS = 20


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. percent: of the requests, copied (mirror) or answered (canary)."""

    kind: Literal["mirror", "canary"]
    percent: int
    bake_s: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a metric of the caller's own may be."""

    min: float | None = None
    max: float | None = None

    def as_dict(self) -> dict[str, float]:
        """As it is written."""
        written = {"min": self.min, "max": self.max}
        return {name: bound for name, bound in written.items() if bound is not None}


@dataclass(frozen=True, slots=True)
class Policy:
    """How a version reaches all requests, and what stops it.

    error_rate: share of requests; p95_ms: milliseconds; p95_ratio: times the p95 of what serves
    beside it. prediction_psi: how far its predictions may be from those it gave to its training
    rows; see `mlq.datasets.drift.stability`. None: not looked at. min_requests: a stage passes with
    as many and no fewer; while it bakes, fewer say nothing. metrics: of the caller's own, by name;
    a stage passes when each of them was told in it.
    """

    stages: tuple[Stage, ...]
    error_rate: float | None = 0.02
    p95_ms: float | None = None
    p95_ratio: float | None = None
    prediction_psi: float | None = None
    min_requests: int = DEFAULT_MIN_REQUESTS
    metrics: Mapping[str, Bounds] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As it is written, all defaults filled in."""
        written: dict[str, Any] = {
            "canary": [
                {"percent": one.percent, "bake_s": one.bake_s}
                for one in self.stages
                if one.kind == "canary"
            ],
            "abort": {
                "error_rate": self.error_rate,
                "p95_ms": self.p95_ms,
                "p95_ratio": self.p95_ratio,
                "prediction_psi": self.prediction_psi,
                "min_requests": self.min_requests,
            },
        }
        if self.metrics:
            written["abort"]["metrics"] = {
                name: bounds.as_dict() for name, bounds in self.metrics.items()
            }
        for one in self.stages:
            if one.kind == "mirror":
                written["mirror"] = {"percent": one.percent, "bake_s": one.bake_s}
        return written


@dataclass(frozen=True, slots=True)
class Drift:
    """The PSI of a candidate's predictions, over so many of them."""

    prediction_psi: float
    rows: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What a deployment answered in some time. latency: bucket -> requests; see BOUNDS_MS."""

    requests: int = 0
    errors: int = 0
    rows: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)

    def quantile_ms(self, share: float) -> float | None:
        """The latency in ms that `share` of the requests stayed below; a bucket's upper bound."""
        total = sum(self.latency.values())
        if not total:
            return None
        seen = 0
        for bucket in sorted(self.latency):
            seen += self.latency[bucket]
            if seen >= share * total:
                return BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)]
        return None


def bucket_of(latency_ms: float) -> int:
    """The bucket of a latency; see BOUNDS_MS."""
    return bisect_left(BOUNDS_MS, latency_ms)


def find_lack(
    policy: Policy, candidate: Measured, *, metrics: Mapping[str, float] | None = None
) -> str | None:
    """What a stage still waits for when its bake time is over, in words; None where nothing.

    A version that nobody has asked was not tested by waiting: a stage passes with `min_requests`.
    metrics: what was told in this stage.
    """
    untold = [name for name in policy.metrics if name not in (metrics or {})]
    if candidate.requests >= policy.min_requests and untold:
        return (
            f"its bake time is over, but nobody has told its {', '.join(untold)} in this stage "
            "(abort.metrics): it waits for that"
        )
    if candidate.requests >= policy.min_requests:
        return None
    return (
        f"its bake time is over, but only {candidate.requests} of {policy.min_requests} requests "
        "(abort.min_requests) have come in this stage: it waits for the others"
    )


def find_fault(
    policy: Policy,
    candidate: Measured,
    serving: Measured,
    *,
    drift: Drift | None = None,
    metrics: Mapping[str, float] | None = None,
    is_baked: bool,
) -> str | None:
    """Why the policy aborts, in words; None where it does not.

    drift: None where nothing is known. metrics: what was told of the candidate. is_baked: the bake
    time is over, and what there is must do, however little.
    """
    for name, value in (metrics or {}).items():
        bounds = policy.metrics.get(name, Bounds())
        if bounds.min is not None and value < bounds.min:
            return f"its {name} is {value:g} (at least {bounds.min:g})"
        if bounds.max is not None and value > bounds.max:
            return f"its {name} is {value:g} (at most {bounds.max:g})"
    limit = policy.prediction_psi
    is_told = drift is not None and (is_baked or drift.rows >= policy.min_requests)
    if drift is not None and limit is not None and is_told and drift.prediction_psi > limit:
        return (
            f"its predictions have drifted from those of its training: PSI "
            f"{drift.prediction_psi:.3g} over {drift.rows} rows (at most {limit:g})"
        )
    if not candidate.requests or (candidate.requests < policy.min_requests and not is_baked):
        return None
    rate = candidate.errors / candidate.requests
    if policy.error_rate is not None and rate > policy.error_rate:
        return (
            f"{candidate.errors} of {candidate.requests} requests failed "
            f"({rate:.1%}, at most {policy.error_rate:.1%} may)"
        )
    p95 = candidate.quantile_ms(0.95)
    if p95 is None:
        return None
    if policy.p95_ms is not None and p95 > policy.p95_ms:
        return f"its p95 is {p95:.4g} ms, over the limit of {policy.p95_ms:g} ms"
    usual = serving.quantile_ms(0.95)
    enough = serving.requests >= min(policy.min_requests, candidate.requests)
    if policy.p95_ratio is not None and usual and enough and p95 > usual * policy.p95_ratio:
        return (
            f"its p95 is {p95:.4g} ms, {p95 / usual:.1f} times the {usual:.4g} ms of what serves "
            f"beside it (at most {policy.p95_ratio:g} times)"
        )
    return None


def read_policy(written: Any, *, path: str = "policy") -> Policy:
    """Read a policy. Raises SpecError with every wrong place."""
    problems: list[SpecProblem] = []
    top = _mapping(written, path, {"mirror", "canary", "abort"}, problems)
    stages: list[Stage] = []
    if "mirror" in top:
        stages += _stage("mirror", top["mirror"], f"{path}.mirror", problems)
    canary = top.get("canary", [])
    for place, one in enumerate(canary if isinstance(canary, list) else [canary]):
        stages += _stage("canary", one, f"{path}.canary[{place}]", problems)
    if not stages and not problems:
        problems.append(SpecProblem(path, "has no stage: give it mirror, canary or both."))
    limits = {"error_rate", "p95_ms", "p95_ratio", "prediction_psi", "min_requests", "metrics"}
    abort = _mapping(top.get("abort", {}), f"{path}.abort", limits, problems)
    metrics = _metrics(abort.get("metrics", {}), f"{path}.abort.metrics", problems)
    for name, value in abort.items():
        if (
            name != "metrics"
            and value is not None
            and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0)
        ):
            problems.append(
                SpecProblem(f"{path}.abort.{name}", f"should be a number, not {value!r:.40}.")
            )
    if problems:
        raise SpecError(problems)
    return Policy(
        tuple(stages),
        error_rate=abort.get("error_rate", 0.02),
        p95_ms=abort.get("p95_ms"),
        p95_ratio=abort.get("p95_ratio"),
        prediction_psi=abort.get("prediction_psi"),
        min_requests=int(
            DEFAULT_MIN_REQUESTS if (least := abort.get("min_requests")) is None else least
        ),
        metrics=metrics,
    )


def _metrics(written: Any, path: str, problems: list[SpecProblem]) -> dict[str, Bounds]:
    if not isinstance(written, Mapping):
        problems.append(SpecProblem(path, "should be a mapping: {conversion: {min: 0.02}}."))
        return {}
    found = {}
    for name, bounds in written.items():
        given = _mapping(bounds, f"{path}.{name}", {"min", "max"}, problems)
        wrong = [key for key, value in given.items() if not _is_number(value)]
        problems += [SpecProblem(f"{path}.{name}.{key}", "should be a number.") for key in wrong]
        if isinstance(bounds, Mapping) and not given:
            problems.append(SpecProblem(f"{path}.{name}", "needs min, max or both."))
        if not wrong and given:
            found[str(name)] = Bounds(given.get("min"), given.get("max"))
    return found


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def _stage(
    kind: Literal["mirror", "canary"], written: Any, path: str, problems: list[SpecProblem]
) -> list[Stage]:
    before = len(problems)
    given = _mapping(written, path, {"percent", "bake_s"}, problems)
    percent, bake_s = given.get("percent", 100 if kind == "mirror" else None), given.get("bake_s")
    if type(percent) is not int or not 1 <= percent <= 100:
        problems.append(SpecProblem(f"{path}.percent", "should be a whole number from 1 to 100."))
    if isinstance(bake_s, bool) or not isinstance(bake_s, int | float) or bake_s < 0:
        problems.append(SpecProblem(f"{path}.bake_s", "should be a number of seconds."))
    if len(problems) > before:
        return []
    assert isinstance(percent, int)
    assert isinstance(bake_s, int | float)
    return [Stage(kind, percent, float(bake_s))]


def _mapping(
    written: Any, path: str, known: set[str], problems: list[SpecProblem]
) -> Mapping[str, Any]:
    if not isinstance(written, Mapping):
        problems.append(SpecProblem(path, f"should be a mapping, not {written!r:.60}."))
        return {}
    for key in written:
        if key not in known:
            close = nearest(str(key), known)
            problems.append(SpecProblem(f"{path}.{key}", "is not a key here.", suggestion=close))
    return written

"""The limits that a deployment is watched by, and which of them a report goes over. Pure.

drift: {psi: 0.25, prediction_psi: 0.25, missing: 0.1, accuracy: 0.8, min_rows: 200}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from mlq.errors import SpecError, SpecProblem, nearest

_MAX_WINDOW_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What goes too far; None: not looked at.

    psi, ks, p_value: of any feature (a p-value is a limit from below); prediction_psi: of the
    predictions. missing: by how much a feature's share of missing values grew; unknown,
    out_of_range: shares of its values that the training rows did not have or reach. accuracy, mae:
    against the truth. min_rows, min_truths: fewer say nothing. window_s: seconds looked back.
    """

    psi: float | None = 0.25
    ks: float | None = None
    p_value: float | None = None
    prediction_psi: float | None = 0.25
    missing: float | None = 0.1
    unknown: float | None = 0.1
    out_of_range: float | None = 0.1
    accuracy: float | None = None
    mae: float | None = None
    min_rows: int = 200
    min_truths: int = 50
    window_s: float = 3600.0


def read_limits(written: Any, *, path: str = "drift") -> Limits:
    """Limits as they are written in a file. Raises SpecError with every wrong place."""
    if not isinstance(written, Mapping):
        raise SpecError([SpecProblem(path, f"should be a mapping, not {written!r:.60}.")])
    known = {one.name for one in fields(Limits)}
    needed = {"min_rows", "min_truths", "window_s"}
    problems = []
    for key, value in written.items():
        if key not in known:
            close = nearest(str(key), known)
            problems.append(SpecProblem(f"{path}.{key}", "is not a key here.", suggestion=close))
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        if key in needed and not (is_number and value > 0):
            problems.append(SpecProblem(f"{path}.{key}", "should be a number above 0."))
        elif value is not None and not is_number:
            problems.append(
                SpecProblem(f"{path}.{key}", f"should be a number from 0 on, not {value!r:.40}.")
            )
        elif key == "window_s" and value > _MAX_WINDOW_S:
            problems.append(SpecProblem(f"{path}.{key}", f"is at most {_MAX_WINDOW_S:g} (a week)."))
    if problems:
        raise SpecError(problems)
    return Limits(**written)


def find_breaches(limits: Limits, result: Mapping[str, Any], *, rows: int) -> list[str]:
    """What went over a limit, in words; see `mlq.service.monitoring` for `result`."""
    breaches: list[str] = []
    if rows >= limits.min_rows:
        for feature in result["features"]:
            breaches += [f"{feature['name']}: {words}" for words in _of_feature(limits, feature)]
        prediction = result["prediction"] or {}
        if _is_over(prediction.get("psi"), limits.prediction_psi):
            breaches.append(f"prediction: PSI {prediction['psi']:.3g} > {limits.prediction_psi:g}")
    live = result["live"]
    if live["truths"] >= limits.min_truths:
        accuracy, mae = live.get("accuracy"), live.get("mae")
        if accuracy is not None and limits.accuracy is not None and accuracy < limits.accuracy:
            breaches.append(f"accuracy {accuracy:.3g} < {limits.accuracy:g}")
        if _is_over(mae, limits.mae):
            breaches.append(f"mean absolute error {mae:.4g} > {limits.mae:g}")
    return breaches


def _of_feature(limits: Limits, feature: Mapping[str, Any]) -> Iterator[str]:
    if _is_over(feature.get("psi"), limits.psi):
        yield f"PSI {feature['psi']:.3g} > {limits.psi:g}"
    if _is_over(feature.get("ks"), limits.ks):
        yield f"KS {feature['ks']:.3g} > {limits.ks:g}"
    chance = feature.get("p_value")
    if chance is not None and limits.p_value is not None and chance < limits.p_value:
        yield f"p {chance:.2g} < {limits.p_value:g}"
    grown = feature["missing"] - feature["missing_before"]
    if _is_over(grown, limits.missing):
        yield f"{grown:.1%} more missing > {limits.missing:.1%}"
    for key, words in (("unknown", "unknown labels"), ("out_of_range", "out of range")):
        limit = getattr(limits, key)
        if _is_over(feature.get(key), limit):
            yield f"{feature[key]:.1%} {words} > {limit:.1%}"


def _is_over(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit

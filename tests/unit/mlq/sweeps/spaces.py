"""Search spaces for tests: written ones, and hypothesis strategies that make any."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def choice(*values: Any) -> dict[str, Any]:
    return {"type": "choice", "values": list(values)}


def uniform(low: float, high: float) -> dict[str, Any]:
    return {"type": "uniform", "min_value": low, "max_value": high}


MODELS: dict[str, Any] = {
    "model": choice(
        {"estimator": "logistic", "C": {"type": "loguniform", "min_value": -3, "max_value": 3}},
        {"estimator": "forest", "n_estimators": choice(50, 100), "depth": choice(2, 4, 8)},
        "dummy",
    ),
    "scale": choice(True, False),
}

_bound = st.integers(-50, 50) | st.floats(-50, 50).map(lambda value: round(value, 3))
_q = st.sampled_from([1, 2, 5, 0.1, 0.25, 0.5, 1.5])


@st.composite
def uniforms(draw: st.DrawFn, *, quantised: bool | None = None) -> dict[str, Any]:
    """uniform, loguniform and their quantised forms, all of them possible."""
    is_log = draw(st.booleans())
    is_quantised = draw(st.booleans()) if quantised is None else quantised
    exponent = st.floats(0, 6).map(lambda value: round(value, 2))
    low = draw(exponent if is_log else _bound)
    wide = draw(st.floats(1, 4)) if is_log else draw(st.integers(5, 60))
    raw = {
        "type": f"{'q' if is_quantised else ''}{'log' if is_log else ''}uniform",
        "min_value": low,
        "max_value": low + wide,
    }
    # any range so wide has a multiple of 5 at least
    return (
        {**raw, "q": draw(st.sampled_from([1, 0.5, 0.1]) if is_log else _q)}
        if (is_quantised)
        else raw
    )


@st.composite
def normals(draw: st.DrawFn) -> dict[str, Any]:
    """normal, lognormal and their quantised forms."""
    is_log, is_quantised = draw(st.booleans()), draw(st.booleans())
    raw = {
        "type": f"{'q' if is_quantised else ''}{'log' if is_log else ''}normal",
        "mu": draw(st.floats(-2, 2)),
        "sigma": draw(st.floats(0.1, 2)),
    }
    return {**raw, "q": draw(_q)} if is_quantised else raw


randints = st.integers(1, 20).map(lambda upper: {"type": "randint", "upper": upper})
_literal = st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3)


def choices(
    entries: st.SearchStrategy[dict[str, Any]], names: str = "pqr"
) -> st.SearchStrategy[dict[str, Any]]:
    """Choices between literals and mappings, of which no two are the same."""
    branch = st.dictionaries(st.sampled_from(names), entries | _literal, max_size=2)
    values = st.lists(_literal | branch, min_size=1, max_size=4, unique_by=repr)
    return values.map(lambda chosen: choice(*chosen))


scalars = uniforms() | normals() | randints
countable = uniforms(quantised=True) | randints


@st.composite
def spaces(draw: st.DrawFn, entries: st.SearchStrategy[dict[str, Any]] = scalars) -> dict[str, Any]:
    """Spaces of distributions from `entries`, one choice between mappings among them."""
    raw = draw(st.dictionaries(st.sampled_from("abc"), entries, max_size=2))
    return {**raw, "m": draw(choices(entries))}

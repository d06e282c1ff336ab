"""What a `type: sweep` job says by itself: space, sampling, early termination, limits.

Semantics are Azure ML's; what mlq adds is `objective.target`, `hyperband`, quantised and whole
numbers in grids, and sweeps that a timeout or a target bounds instead of a number of trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mlq.errors import nearest
from mlq.spec.bindings import has_binding
from mlq.spec.builtin import Port
from mlq.spec.model import SEEDS, EarlyTermination, SweepJob, SweepLimits
from mlq.spec.nodes import Draw, Search
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import shorten
from mlq.spec.values import literal_type
from mlq.sweeps.distributions import Normal, RandInt, Scalar, Uniform, multiple
from mlq.sweeps.space import Branch, Choice, Space, SpaceError, parse_space

DEFAULT_RUNNERS = 16
#: A grid may have more points only where `max_total_trials` says how many of them to try.
MAX_GRID = 100_000
#: What every sweep has to say beside the outputs of its trial.
SWEEP_OUTPUTS: Mapping[str, Port] = {
    "best_params": Port("object", description="Parameters of the best trial."),
    "best_value": Port("number", description="Its value of the primary metric."),
}

_REQUIRED = ("trial", "sampling_algorithm", "search_space", "objective")
#: policy -> the keys that only it knows, with their defaults
_POLICIES: Mapping[str, Mapping[str, Any]] = {
    "bandit": {"slack_factor": None, "slack_amount": None},
    "median_stopping": {},
    "truncation_selection": {"truncation_percentage": None},
    "hyperband": {"min_resource": 1, "reduction_factor": 3},
}
_LOG_BOUNDS = {
    "loguniform": ("min_value", "max_value"),
    "qloguniform": ("min_value", "max_value"),
    "lognormal": ("mu", "sigma"),
    "qlognormal": ("mu", "sigma"),
}


def read_search(
    problems: Problems, job: SweepJob, raw: Mapping[str, Any], key: KeyPath, *, seed_offset: int = 0
) -> Search:
    """Check the keys of a sweep but its trial.

    raw: the sweep as written, at `key`. seed_offset: added to its seed, so that the rounds of a
    repeated job do not try the same parameters again.
    """
    return _Reader(problems, job, raw, key, seed_offset).read()


class _Reader:
    def __init__(
        self,
        problems: Problems,
        job: SweepJob,
        raw: Mapping[str, Any],
        key: KeyPath,
        seed_offset: int,
    ) -> None:
        self.problems = problems
        self.job = job
        self.raw = raw
        self.key = key
        self.seed_offset = seed_offset

    def read(self) -> Search:
        for name in _REQUIRED:
            if self.raw.get(name) is None:
                self.problems.add((*self.key, name), f"The key '{name}' is required here.")
        space = self._space()
        self._check_sampling()
        if space is not None:
            self._check_ranges(space)
        self._check_bounds(space)
        limits = self.job.limits or SweepLimits()
        timeout = limits.timeout if limits.timeout is not None else self.job.timeout
        objective = self.job.objective
        return Search(
            draws=self._draws(space),
            always=_always(space) if space is not None else frozenset(self.job.search_space or ()),
            content={
                "sampling": self._sampling(),
                "search_space": space.as_dict() if space is not None else {},
                "objective": objective.model_dump() if objective is not None else {},
                "early_termination": self._early_termination(),
                "limits": {
                    "max_total_trials": limits.max_total_trials,
                    "max_concurrent_trials": limits.max_concurrent_trials,
                    "timeout_s": timeout,
                    "trial_timeout_s": limits.trial_timeout,
                },
            },
            runners=_count_runners(limits, space, is_grid=self._kind == "grid"),
        )

    @property
    def _kind(self) -> str | None:
        return self.job.sampling_algorithm.type if self.job.sampling_algorithm else None

    # search space -----------------------------------------------------------------------------

    def _space(self) -> Space | None:
        raw = self.job.search_space
        if raw is None:
            return None
        where = (*self.key, "search_space")
        if self._holds_binding(raw, where):
            return None
        try:
            space = parse_space(raw)
            algorithm = self.job.sampling_algorithm
            base = algorithm.logbase if algorithm is not None else None
            if base is not None and base != "e":
                space = parse_space(_scale(space.as_dict(), math.log(base)))
        except SpaceError as error:
            for problem in error.problems:
                self.problems.add(
                    (*where, *problem.key), problem.message, suggestion=problem.suggestion
                )
            return None
        return space

    def _holds_binding(self, raw: Any, where: KeyPath) -> bool:
        if has_binding(raw):
            self.problems.add(
                where, "A binding cannot stand here; a search space is known at submit."
            )
            return True
        entries: Iterator[tuple[Any, Any]] = iter(())
        if isinstance(raw, dict):
            entries = iter(raw.items())
        elif isinstance(raw, list):
            entries = enumerate(raw)
        found = [self._holds_binding(value, (*where, name)) for name, value in entries]
        return any(found)

    def _check_ranges(self, space: Space) -> None:
        for name, key, drawn, _ in _walk(space, (*self.key, "search_space")):
            if isinstance(drawn, Uniform) and drawn.min_value == drawn.max_value:
                self.problems.add(
                    (*key, "max_value"),
                    "This is equal to min_value, so that nothing varies: raise it, or write "
                    f"'{shorten(name)}' under `inputs`.",
                )
            if self._kind == "grid" and drawn is not None and drawn.grid_size() is None:
                self.problems.add(
                    (*key, "type"),
                    "A grid needs values that can be counted: use choice, randint, quniform or "
                    "qloguniform here, or `sampling_algorithm: random`.",
                )

    def _draws(self, space: Space | None) -> dict[str, tuple[Draw, ...]]:
        where = (*self.key, "search_space")
        if space is None:  # what is wrong is said; its names are given all the same
            names = self.job.search_space or {}
            return {name: (Draw((*where, name), "object"),) for name in names}
        found: dict[str, tuple[Draw, ...]] = {}
        for name, key, drawn, value in _walk(space, where):
            draw = Draw(key, literal_type(value), (value,)) if drawn is None else _draw(key, drawn)
            found[name] = (*found.get(name, ()), draw)
        return found

    # sampling ---------------------------------------------------------------------------------

    def _check_sampling(self) -> None:
        algorithm = self.job.sampling_algorithm
        if algorithm is None:
            return
        for name in ("rule", "logbase", "seed"):
            if getattr(algorithm, name) is None:
                continue
            if algorithm.type == "grid" or (algorithm.type == "bayesian" and name != "seed"):
                self.problems.add(
                    (*self.key, "sampling_algorithm", name),
                    f"The sampling algorithm '{algorithm.type}' has no {name}; "
                    f"{'random and bayesian have' if name == 'seed' else 'random has'}.",
                )

    def _sampling(self) -> dict[str, Any]:
        algorithm = self.job.sampling_algorithm
        if algorithm is None:
            return {}
        seed = ((algorithm.seed or 0) + self.seed_offset) % SEEDS
        sampling = {"type": algorithm.type, "seed": seed}
        if algorithm.type == "random":
            sampling["rule"] = algorithm.rule or "random"
        return sampling

    # early termination ------------------------------------------------------------------------

    def _early_termination(self) -> dict[str, Any] | None:
        policy = self.job.early_termination
        if policy is None:
            return None
        where = (*self.key, "early_termination")
        self._check_policy(policy, where)
        own = {
            name: given if (given := getattr(policy, name)) is not None else default
            for name, default in _POLICIES[policy.type].items()
        }
        if policy.type == "bandit":  # Azure's package writes the one not meant as 0
            own = {name: value or None for name, value in own.items()}
        return {
            "type": policy.type,
            "evaluation_interval": policy.evaluation_interval or 1,
            "delay_evaluation": policy.delay_evaluation or 0,
            **own,
        }

    def _check_policy(self, policy: EarlyTermination, where: KeyPath) -> None:
        for other, names in _POLICIES.items():
            for name in names:
                if other != policy.type and getattr(policy, name) is not None:
                    self.problems.add(
                        (*where, name),
                        f"'{name}' belongs to the policy '{other}', not to '{policy.type}'.",
                        suggestion=nearest(name, list(_POLICIES[policy.type])),
                    )
        if policy.type == "bandit" and bool(policy.slack_factor) == bool(policy.slack_amount):
            self.problems.add(
                where,
                "A bandit policy needs one of slack_factor (a share of the best value) and "
                "slack_amount (in the metric's unit), greater than 0.",
            )
        if policy.type == "truncation_selection" and policy.truncation_percentage is None:
            self.problems.add(
                (*where, "truncation_percentage"),
                "The key 'truncation_percentage' is required here.",
            )

    # limits -----------------------------------------------------------------------------------

    def _check_bounds(self, space: Space | None) -> None:
        limits = self.job.limits or SweepLimits()
        if limits.max_total_trials is not None or self._kind is None:
            return
        if (self.raw.get("limits") is not None and self.job.limits is None) or (
            self.raw.get("objective") is not None and self.job.objective is None
        ):
            return  # reported, and perhaps what bounds this sweep
        size = space.grid_size() if space is not None else None
        if self._kind == "grid":
            if size is not None and size > MAX_GRID:
                self.problems.add(
                    (*self.key, "search_space"),
                    f"This grid has {size:,} points. Say with limits.max_total_trials how many of "
                    "them to try, or use `sampling_algorithm: random`.",
                )
            return
        target = self.job.objective.target if self.job.objective is not None else None
        if limits.timeout is None and self.job.timeout is None and target is None:
            self.problems.add(
                (*self.key, "limits", "max_total_trials"),
                "Nothing would end this sweep: set limits.max_total_trials, limits.timeout or "
                "objective.target.",
            )


def _count_runners(limits: SweepLimits, space: Space | None, *, is_grid: bool) -> int:
    most = [limits.max_concurrent_trials or DEFAULT_RUNNERS]
    if limits.max_total_trials is not None:
        most.append(limits.max_total_trials)
    size = space.grid_size() if is_grid and space is not None else None
    if size is not None:
        most.append(size)
    return min(most)


def _walk(space: Space, key: KeyPath) -> Iterator[tuple[str, KeyPath, Scalar | None, Any]]:
    """(name, key path, distribution, value) of all that a trial may be given.

    Where a value stands by itself the distribution is None.
    """
    for name, drawn in space.parameters.items():
        where = (*key, name)
        if isinstance(drawn, Scalar):
            yield name, where, drawn, None
        elif isinstance(drawn, Choice):
            for index, value in enumerate(drawn.values):
                here = (*where, "values", index)
                if isinstance(value, Branch):
                    for constant, given in value.constants.items():
                        yield constant, (*here, constant), None, given
                    yield from _walk(value.space, here)
                else:
                    yield name, here, None, value


def _always(space: Space) -> frozenset[str]:
    """The names that every trial gets."""
    found: set[str] = set()
    for name, drawn in space.parameters.items():
        if isinstance(drawn, Choice):
            found |= set.intersection(*(_given(name, value) for value in drawn.values))
        else:
            found.add(name)
    return frozenset(found)


def _given(name: str, value: Any) -> set[str]:
    """The names that a trial gets where `value` of the choice `name` is taken."""
    return {*value.constants, *_always(value.space)} if isinstance(value, Branch) else {name}


def _draw(key: KeyPath, drawn: Scalar) -> Draw:
    if isinstance(drawn, RandInt):
        return Draw(key, "integer", (0, drawn.upper - 1))
    q = drawn.q if isinstance(drawn, (Uniform, Normal)) else None
    type = "integer" if isinstance(q, int) else "number"
    if not isinstance(drawn, Uniform):
        return Draw(key, type)
    if q is not None:
        return Draw(key, type, tuple(multiple(q, index) for index in drawn.multiples))
    # exp(log(0.1)) may come out as 0.10000000000000002, which is not beyond a port's maximum of 0.1
    return Draw(key, type, (float(f"{drawn.low:.9g}"), float(f"{drawn.high:.9g}")))


def _scale(raw: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A canonical space whose exponents of another base became exponents of e."""
    return {name: _scale_entry(entry, factor) for name, entry in raw.items()}


def _scale_entry(entry: Any, factor: float) -> Any:
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    if kind == "choice":
        values = [
            _scale(value, factor) if isinstance(value, Mapping) else value
            for value in entry["values"]
        ]
        return {**entry, "values": values}
    if kind in _LOG_BOUNDS:
        return {**entry, **{name: entry[name] * factor for name in _LOG_BOUNDS[kind]}}
    return entry

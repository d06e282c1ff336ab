"""The course of a sweep as one process knows it; it lives on between the runner's time slices."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from mlq.db import sweeps
from mlq.lifecycle import TERMINAL, Reason, State
from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past, Sampler, make_sampler
from mlq.sweeps.space import Params, parse_space
from mlq.sweeps.termination import Termination, make_termination
from mlq_workers.components.trials import Trials

#: Seconds of work that a runner claims at once, and at most so many trials.
BATCH_S = 0.5
#: So much work is worth a commit, even where others could run a part of it.
LEAST_S = 0.05
#: A sampler that learns from others should hear of them sooner.
LEARNING_BATCH_S = 0.25
MAX_BATCH = 256
#: How much the latest trial weighs in the measured time of one.
_WEIGHT = 0.2
_KEPT_COURSES = 4


class Course:
    """Sampler, early termination and measured pace of one sweep."""

    def __init__(self, sweep_id: str, spec: Mapping[str, Any]) -> None:
        self.sweep_id = sweep_id
        self.trial = spec["trial"]
        self.limits: Mapping[str, Any] = spec["limits"]
        self.objective = Objective.from_dict(spec["objective"])
        self.space = parse_space(spec["search_space"])
        sampling = spec["sampling"]
        self.sampler: Sampler = make_sampler(
            sampling, self.space, self.objective, seed=int(sampling.get("seed") or 0)
        )
        self.termination: Termination | None = make_termination(
            spec["early_termination"], self.objective
        )
        #: What runs trials inside this process; None where each is a step of its own.
        self.trials: Trials | None = None
        self.is_prepared = False
        self.seconds: float | None = None
        self._first = 0  # number of the first trial that may still change

    @property
    def learns(self) -> bool:
        """Whether what other trials came to matters here."""
        return self.sampler.needs_history or self.termination is not None

    @property
    def trial_timeout_s(self) -> float | None:
        """Seconds that one trial may take."""
        return self.limits.get("trial_timeout_s")

    @property
    def is_foreseen(self) -> bool:
        """Whether parameters are stored when trials are claimed: one may be killed for its time."""
        return self.trial_timeout_s is not None and not self.sampler.needs_history

    def batch_size(self) -> int:
        """How many trials to claim at once: by their measured time half a second's worth."""
        return self._count(LEARNING_BATCH_S if self.learns else BATCH_S)

    def least_batch(self) -> int:
        """How many trials are worth a commit of their own."""
        return self._count(LEAST_S)

    def _count(self, work_s: float) -> int:
        if self.seconds is None or self.trials is None:
            return 1
        return max(1, min(MAX_BATCH, math.floor(work_s / max(self.seconds, 1e-6))))

    def note_seconds(self, seconds: float) -> None:
        """A trial took so long."""
        before = self.seconds
        self.seconds = seconds if before is None else before + _WEIGHT * (seconds - before)

    def ask(self, number: int, point: int) -> Params:
        """The parameters of trial `number`, which is the sampler's point `point`.

        A sampler that learns knows trials by their numbers, people's own among them.
        """
        return self.sampler.ask(number if self.sampler.needs_history else point)

    def note(self, past: Sequence[Past]) -> None:
        """Learn from trials."""
        if not self.learns or not past:
            return
        self.sampler.sync(past)
        if self.termination is not None:
            self.termination.sync(past)

    def sync(self, conn: Connection, *, own: frozenset[int] = frozenset()) -> None:
        """Learn from what other runners have recorded. own: numbers of trials held here."""
        rows = sweeps.read_past(conn, self.sweep_id, first=self._first)
        steps: Mapping[str, dict[int, float]] = {}
        if self.termination is not None and rows:
            key = self.objective.primary_metric
            steps = sweeps.read_steps(conn, [row["id"] for row in rows], key=key)
        past = []
        open_from: int | None = None
        for row in rows:
            is_over = State(row["state"]) in TERMINAL
            if not is_over and open_from is None:
                open_from = row["number"]
            if row["number"] in own or (not is_over and row["params"] is None):
                continue  # it is known here better, or nothing is known of it yet
            past.append(
                Past(
                    row["number"],
                    row["params"] or {},
                    _state(row["state"], row["reason"]),
                    row["value"],
                    steps.get(row["id"], {}),
                )
            )
        if open_from is not None:
            self._first = open_from
        elif rows:
            self._first = rows[-1]["number"] + 1
        self.note(past)


def _state(state: str, reason: str | None) -> str:
    if reason == Reason.PRUNED:
        return "pruned"
    return "running" if state == State.QUEUED else state


class Courses:
    """The courses of this process, the latest used ones kept.

    A sweep that is resumed begins a course of its own: trials that had ended change again.
    """

    def __init__(self, *, make: Callable[[str, Mapping[str, Any]], Course] = Course) -> None:
        self._make = make
        self._courses: OrderedDict[tuple[str, int], Course] = OrderedDict()

    def find(self, sweep_id: str, spec: Mapping[str, Any], *, generation: int) -> Course:
        """The course of a sweep, begun if it is not known."""
        key = (sweep_id, generation)
        course = self._courses.get(key)
        if course is None:
            course = self._courses[key] = self._make(sweep_id, spec)
            if len(self._courses) > _KEPT_COURSES:
                self._courses.popitem(last=False)
        self._courses.move_to_end(key)
        return course

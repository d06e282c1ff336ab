"""The lifecycle of a job, as one table.

    pending ──queue──> queued ──claim──> running ──succeed──> succeeded
       │                  │ ^               │ ├────fail─────> failed
       │                  │ └─retry/release─┤ ├───cancel────> canceled
       │                  │      /lose      │ └────wait─────> waiting ──decide──> running
       ├──start (inner)───┼────────────────>│
       ├──skip──> skipped <──skip───────────┘ (never: only pending and queued are skipped)
       └──cancel─────────────────────────────────────────────> canceled
    a terminal job ──reopen──> pending (resume of its tree)

Only `mlq.db.transitions` writes the column `state`, and only along this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a job is. Who enters it, who leaves it: TRANSITIONS."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a terminal job ended as it did."""

    ERROR = "error"  # user code raised or exited non-zero
    TIMEOUT = "timeout"
    OOM = "oom"  # over its memory limit
    LOST = "lost"  # its worker died too often
    REJECTED = "rejected"  # a gate said no
    CACHED = "cached"  # outputs of an equal step reused
    TARGET = "target"  # a sweep reached its target
    UPSTREAM = "upstream"  # skipped: an upstream did not succeed
    PRUNED = "pruned"  # a trial that early termination stopped
    CONDITION = "condition"  # skipped: branch not taken, or round not needed


class Role(StrEnum):
    """What a child is for that is no step by itself."""

    RUNNER = "runner"  # runs trials, one after the other
    BEST = "best"  # makes the sweep's outputs from the best trial
    TRIAL = "trial"
    ROUND = "round"  # a repeated job once, or a loop's body once
    EXPAND = "expand"  # finds items, or cuts lots of mini-batches, and adds a job for each
    ITEM = "item"
    COLLECT = "collect"  # makes one output of those of all items
    FINALLY = "finally"  # a step that runs once the others have ended, however they did


#: Children that people are not shown.
HIDDEN_ROLES = frozenset({Role.RUNNER, Role.BEST, Role.EXPAND, Role.COLLECT})


class JobType(StrEnum):
    """What a job is. Leaves are executed by a worker; inner jobs follow children, or a person."""

    COMMAND = "command"
    PIPELINE = "pipeline"
    SWEEP = "sweep"
    PARALLEL = "parallel"  # a script over mini-batches, in lots
    APPROVAL = "approval"  # waits for a person, and holds no worker
    IF_ELSE = "if_else"  # chooses between steps, in the transaction that ends what it waits for
    DO_WHILE = "do_while"  # repeats its body as long as that says so
    PARALLEL_FOR = "parallel_for"  # its body once for each of its items


LIVE = frozenset({State.PENDING, State.QUEUED, State.RUNNING, State.WAITING})
TERMINAL = frozenset(State) - LIVE
INNER_TYPES = frozenset(JobType) - {JobType.COMMAND}

#: transition -> (states it leaves, states it may enter)
TRANSITIONS: Mapping[str, tuple[frozenset[State], frozenset[State]]] = {
    # a leaf's upstreams are done
    "queue": (frozenset({State.PENDING}), frozenset({State.QUEUED})),
    # an inner job's upstreams are done
    "start": (frozenset({State.PENDING}), frozenset({State.RUNNING})),
    # a worker took it
    "claim": (frozenset({State.QUEUED}), frozenset({State.RUNNING})),
    "succeed": (frozenset({State.RUNNING}), frozenset({State.SUCCEEDED})),
    "fail": (frozenset({State.RUNNING, State.QUEUED}), frozenset({State.FAILED})),
    # failed, and tried again later
    "retry": (frozenset({State.RUNNING}), frozenset({State.QUEUED})),
    # handed back by a draining worker; no attempt burned
    "release": (frozenset({State.RUNNING}), frozenset({State.QUEUED})),
    # its lease ran out
    "lose": (frozenset({State.RUNNING}), frozenset({State.QUEUED})),
    "wait": (frozenset({State.RUNNING}), frozenset({State.WAITING})),
    "decide": (frozenset({State.WAITING}), frozenset({State.RUNNING})),
    "cancel": (LIVE, frozenset({State.CANCELED})),
    "skip": (frozenset({State.PENDING, State.QUEUED}), frozenset({State.SKIPPED})),
    "reopen": (TERMINAL, frozenset({State.PENDING})),
}


def say_end(state: str) -> str:
    """What a job did that ended in `state`, as words: `it succeeded`, `it was canceled`."""
    return f"it {state}" if state in (State.SUCCEEDED, State.FAILED) else f"it was {state}"


def is_terminal(state: str) -> bool:
    """Whether a job in `state` has its outcome."""
    return State(state) in TERMINAL

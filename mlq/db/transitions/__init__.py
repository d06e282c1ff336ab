"""The only writer of a job's state.

Every function is one named change of `mlq.lifecycle.TRANSITIONS`, a guarded UPDATE with its event
in the same transaction. Who loses a race gets None or False and has changed nothing.

Any transaction that touches several jobs of a tree locks the tree's root row first. A claim touches
its own row alone and takes no root lock.
"""

from mlq.db.transitions.approvals import approve, turn_down
from mlq.db.transitions.attempts import (
    Claim,
    claim,
    end_canceled,
    fail,
    find_claim,
    find_success,
    forgive,
    is_current,
    lose,
    may_succeed,
    park,
    release,
    succeed,
    yield_slot,
)
from mlq.db.transitions.cascade import Settled, StaleAttempt, lock_root
from mlq.db.transitions.insertion import Inserted, entry_computes, insert_below, insert_tree
from mlq.db.transitions.limited import AskGpus, claim_limited
from mlq.db.transitions.steering import (
    add_runners,
    count_runners,
    dismiss,
    hold_for_steering,
    is_surplus,
    note_added,
    pause,
    set_limits,
    unpause,
    wake,
)
from mlq.db.transitions.trees import archive, cancel, finish_early, reopen, retire_runners, time_out
from mlq.db.transitions.trials import (
    DROPPED,
    RETURNED,
    Fate,
    Sweep,
    Trial,
    TrialOutcome,
    add_trials,
    begin_trial,
    count_trials,
    end_trials,
    hold_sweep,
    let_go,
    note_best,
    read_sweep,
    take_returned,
)

__all__ = [
    "DROPPED",
    "RETURNED",
    "AskGpus",
    "Claim",
    "Fate",
    "Inserted",
    "Settled",
    "StaleAttempt",
    "Sweep",
    "Trial",
    "TrialOutcome",
    "add_runners",
    "add_trials",
    "approve",
    "archive",
    "begin_trial",
    "cancel",
    "claim",
    "claim_limited",
    "count_runners",
    "count_trials",
    "dismiss",
    "end_canceled",
    "end_trials",
    "entry_computes",
    "fail",
    "find_claim",
    "find_success",
    "finish_early",
    "forgive",
    "hold_for_steering",
    "hold_sweep",
    "insert_below",
    "insert_tree",
    "is_current",
    "is_surplus",
    "let_go",
    "lock_root",
    "lose",
    "may_succeed",
    "note_added",
    "note_best",
    "park",
    "pause",
    "read_sweep",
    "release",
    "reopen",
    "retire_runners",
    "set_limits",
    "succeed",
    "take_returned",
    "time_out",
    "turn_down",
    "unpause",
    "wake",
    "yield_slot",
]

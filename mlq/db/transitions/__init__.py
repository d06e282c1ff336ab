"""The only writer of a job's state.

Every function is one named change of `mlq.lifecycle.TRANSITIONS`, a guarded UPDATE with its event
in the same transaction. Who loses a race gets None or False and has changed nothing.

Any transaction that touches several jobs of a tree locks the tree's root row first. A claim touches
its own row alone and takes no root lock.
"""

from mlq.db.transitions.attempts import (
    Claim,
    claim,
    end_canceled,
    fail,
    find_claim,
    find_success,
    is_current,
    lose,
    may_succeed,
    release,
    succeed,
)
from mlq.db.transitions.cascade import Settled, StaleAttempt, lock_root
from mlq.db.transitions.insertion import Inserted, entry_computes, insert_tree
from mlq.db.transitions.trees import archive, cancel, reopen, time_out

__all__ = [
    "Claim",
    "Inserted",
    "Settled",
    "StaleAttempt",
    "archive",
    "cancel",
    "claim",
    "end_canceled",
    "entry_computes",
    "fail",
    "find_claim",
    "find_success",
    "insert_tree",
    "is_current",
    "lock_root",
    "lose",
    "may_succeed",
    "release",
    "reopen",
    "succeed",
    "time_out",
]

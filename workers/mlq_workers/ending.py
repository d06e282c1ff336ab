"""How a leaf ended, before that is committed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from mlq.db.registry import Artifact
from mlq.errors import MlqError, RejectedError
from mlq.lifecycle import Reason
from mlq.service.execution import Attempt

BoundEffect = Callable[[Connection, Attempt], Mapping[str, Any]]

_TRACEBACK_LINES = 40


@dataclass(frozen=True, slots=True)
class Ending:
    """How a handler ended.

    outputs: set means success. Else reason is set for a failure; without one the attempt was
    canceled or, with is_release, is handed back; yields: and lets others go first. is_over:
    it has been handed back already.
    """

    outputs: Mapping[str, Any] | None = None
    artifacts: Sequence[Artifact] = ()
    effect: BoundEffect | None = None
    reason: Reason | None = None
    error: Mapping[str, Any] | None = None
    is_release: bool = False
    yields: bool = False
    is_over: bool = False

    @classmethod
    def of_exception(cls, error: Exception) -> Ending:
        """The ending of a step that raised."""
        if isinstance(error, RejectedError):
            return cls(
                reason=Reason.REJECTED,
                error={"code": "rejected", "message": str(error), "numbers": dict(error.numbers)},
            )
        if isinstance(error, MlqError):
            return cls(reason=Reason.ERROR, error=error.as_dict())
        if isinstance(error, MemoryError):
            return cls(
                reason=Reason.OOM,
                error={"code": "oom", "message": "The step ran out of memory."},
            )
        lines = "".join(traceback.format_exception(error)).splitlines()
        return cls(
            reason=Reason.ERROR,
            error={
                "code": "exception",
                "message": f"{type(error).__name__}: {error}",
                "traceback": "\n".join(lines[-_TRACEBACK_LINES:]),
            },
        )

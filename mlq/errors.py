"""Errors that a user can meet. Every message says what happened, where, and what to do.

MlqError                     base: a stable `code`, a message, a `hint`
├── SpecError                a job file is wrong: file, line, key path, nearest valid word
├── NotFoundError            no such job, model, data asset …
├── ConflictError            asked for something the present state does not allow
├── ForbiddenError           the token's role does not reach this far
├── UnauthorizedError        no token, or one that is not known
│   └── TooManyFailuresError  too many of these from one address
├── TooLargeError            body, file or document beyond its limit
├── UnavailableError         database, broker, store or server not reachable; try again
├── SettingsError            a setting is missing or makes no sense
├── StepError                a step cannot go on: its input or code is at fault
└── RejectedError            a gate said no; carries the numbers

The core knows no HTTP: `mlq_api.problems` and `mlq.cli` map codes to statuses and exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


class MlqError(Exception):
    """Base of all errors meant for a user.

    message: what happened and where, one or two sentences.
    code: stable, dotted-free word that programs may compare.
    hint: the next thing to try; empty when the message says it already.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON: code, message and, where there is one, the hint."""
        record: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            record["hint"] = self.hint
        return record


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """One thing wrong in a job file.

    path: key path such as `jobs.prep.inputs.data`; line: 1-based, None for JSON input.
    """

    path: str
    message: str
    line: int | None = None
    suggestion: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        text = f"{where}: " if where else ""
        text += f"{self.path}: {self.message}" if self.path else self.message
        return f"{text} Did you mean '{self.suggestion}'?" if self.suggestion else text


class SpecError(MlqError):
    """A job file cannot be accepted. `problems` lists everything that is wrong with it."""

    code = "invalid_spec"

    def __init__(self, problems: Iterable[SpecProblem], *, code: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), code=code)

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON, with one entry of `problems` for each place."""
        record = super().as_dict()
        record["problems"] = [
            {
                "path": problem.path,
                "message": problem.message,
                "line": problem.line,
                "suggestion": problem.suggestion,
                "file": problem.file,
            }
            for problem in self.problems
        ]
        return record


class NotFoundError(MlqError):
    """There is no such thing."""

    code = "not_found"


class ConflictError(MlqError):
    """The present state does not allow what was asked."""

    code = "conflict"


class ForbiddenError(MlqError):
    """The token's role does not reach this far."""

    code = "forbidden"


class UnauthorizedError(MlqError):
    """No token, or one that is unknown, expired or revoked."""

    code = "unauthorized"


class TooManyFailuresError(UnauthorizedError):
    """Too many tokens from one address were not known. retry_after_s: when to come again."""

    code = "too_many_failures"

    def __init__(self, message: str, *, retry_after_s: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class TooLargeError(MlqError):
    """A body, file or document is beyond its limit."""

    code = "too_large"


class UnavailableError(MlqError):
    """A part that the answer needs is not reachable; the same request may succeed later."""

    code = "unavailable"


class SettingsError(MlqError):
    """A setting is missing or makes no sense."""

    code = "settings"


class StepError(MlqError):
    """A step cannot go on: its input, parameters or code is at fault. Never retried blindly."""

    code = "step_error"


class RejectedError(MlqError):
    """A gate said no. `numbers` carries what it compared."""

    code = "rejected"

    def __init__(self, message: str, numbers: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.numbers: Mapping[str, Any] = dict(numbers or {})

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON, with the numbers that it compared."""
        return {**super().as_dict(), "numbers": dict(self.numbers)}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, or None when nothing is close."""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None

"""What names of data, models, aliases, endpoints and deployments may look like."""

from __future__ import annotations

import re

from mlq.errors import MlqError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
# What a version is written as; an alias of that name would make `models:/churn@…` ambiguous.
_VERSION_LIKE = re.compile(r"latest|v?\d+", re.IGNORECASE)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def invalid(message: str, *, hint: str = "") -> MlqError:
    """The error for an argument that makes no sense."""
    return MlqError(message, code="invalid", hint=hint)


def check_name(name: str, *, what: str) -> str:
    """Return `name` when it may name a `what` ("model", "data asset", …); raise MlqError else."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(
            f"{name!r:.80} cannot be the name of a {what}.",
            hint="Use 1 to 255 letters, digits, '.', '_' and '-', a letter or digit first.",
        )
    return name


def check_alias(alias: str) -> str:
    """Return `alias` when it may be one; raise MlqError (code `invalid`) otherwise."""
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias) or _VERSION_LIKE.fullmatch(alias):
        raise invalid(
            f"{alias!r:.80} cannot be an alias.",
            hint="Use 1 to 64 letters, digits, '.', '_' and '-', a letter first; "
            "'latest' and version numbers are taken.",
        )
    return alias


def check_digest(digest: str) -> str:
    """Return `digest` when it is 64 lower-case hex digits; raise MlqError otherwise."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise invalid(f"{digest!r:.80} is no digest: a SHA-256 has 64 lower-case hex digits.")
    return digest


def check_text(text: str, *, what: str, limit: int = 10_000) -> str:
    """Return free text that a database can hold; raise MlqError (code `invalid`) otherwise."""
    if not isinstance(text, str) or len(text) > limit or "\x00" in text:
        raise invalid(f"The {what} must be text of at most {limit} characters, without NUL.")
    return text

"""Secrets taken out of what a command prints, wherever its output is cut into pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHOWN = b"***"
#: Parts of a secret that are shorter are words like any other.
MIN_LENGTH = 4


class Mask:
    """Puts `***` in the place of secrets; each stream for itself.

    secrets: of one with several lines, each line is one.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        parts = {
            part.strip().encode()
            for secret in secrets
            for part in (secret, *secret.splitlines())
            if len(part.strip()) >= MIN_LENGTH
        }
        self._parts = sorted(parts, key=len, reverse=True)  # the longest that fits
        self._pattern = re.compile(b"|".join(map(re.escape, self._parts))) if parts else None
        self._held: dict[str, bytes] = {}

    def feed(self, stream: str, data: bytes) -> bytes:
        """What may be shown now: an end that could be the beginning of a secret waits."""
        if self._pattern is None:
            return data
        text = self._pattern.sub(SHOWN, self._held.pop(stream, b"") + data)
        begun = self._begun(text)
        if begun:
            self._held[stream] = text[-begun:]
            return text[:-begun]
        return text

    def rest(self, stream: str) -> bytes:
        """What waits still, at the end of the stream."""
        return self._held.pop(stream, b"")

    def hide(self, text: str) -> str:
        """A whole text without secrets."""
        if self._pattern is None:
            return text
        return self._pattern.sub(SHOWN, text.encode(errors="replace")).decode(errors="replace")

    def _begun(self, text: bytes) -> int:
        """The length of the longest end of `text` that a secret begins with."""
        longest = max((len(part) - 1 for part in self._parts), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            end = text[-length:]
            if any(part.startswith(end) for part in self._parts):
                return length
        return 0


NO_MASK = Mask(())

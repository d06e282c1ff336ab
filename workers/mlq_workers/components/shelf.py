"""What a worker process keeps in memory from one trial, or time slice, to the next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

#: For all that a process keeps together. What is in use may be more.
MAX_BYTES = 512 * 2**20


class Sized(Protocol):
    """A value that knows the memory it takes, which may grow."""

    @property
    def size_bytes(self) -> int: ...


_T = TypeVar("_T", bound=Sized)


class Shelf:
    """Values by key; the least recently used are dropped when all take more than `max_bytes`."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """The value of `key`, made when it is not there."""
        found: _T | None = self._values.get(key)
        if found is None:
            found = self._values[key] = make()
        self._values.move_to_end(key)
        while len(self._values) > 1 and self._total() > self.max_bytes:
            self._values.popitem(last=False)
        return found

    def _total(self) -> int:
        return sum(value.size_bytes for value in self._values.values())

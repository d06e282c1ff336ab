"""Small damage to job files, drawn by a seed: keys dropped, misspelt, or of another type."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SEED = 20261128
COUNT = 200
KINDS = ("drop", "misspell", "retype")

Path = tuple[str | int, ...]


def draw(documents: Mapping[str, Any], *, seed: int, count: int) -> list[dict[str, Any]]:
    """Different mutations of `documents`, by file: {file, kind, path, value}; the same for a seed.

    value: what a misspelt key is called, or what stands in place of a value of another type.
    """
    rng = random.Random(seed)
    files = sorted(documents)
    found: list[dict[str, Any]] = []
    while len(found) < count:
        file = rng.choice(files)
        path, old = rng.choice(list(_walk(documents[file])))
        kind = rng.choice(KINDS)
        value = None
        if kind == "misspell":
            if not isinstance(path[-1], str):
                continue
            value = _misspell(path[-1], rng)
        elif kind == "retype":
            value = rng.choice([other for other in _OTHERS if type(other) is not type(old)])
        mutation = {"file": file, "kind": kind, "path": list(path), "value": value}
        if mutation not in found:
            found.append(mutation)
    return found


def apply(document: Any, mutation: Mapping[str, Any]) -> Any:
    """A damaged copy."""
    changed = copy.deepcopy(document)
    *above, last = mutation["path"]
    here = changed
    for key in above:
        here = here[key]
    if mutation["kind"] == "drop":
        del here[last]
    elif mutation["kind"] == "retype":
        here[last] = mutation["value"]
    else:  # in its old place, so that nothing else changes
        entries = [
            (mutation["value"] if key == last else key, value) for key, value in here.items()
        ]
        here.clear()
        here.update(entries)
    return changed


_OTHERS: Sequence[Any] = ("words", 7, 0.25, True, ["words"], {"words": "words"}, None)


def _misspell(word: str, rng: random.Random) -> str:
    place = rng.randrange(len(word))
    return word[:place] + rng.choice("qxz") + word[place:]


def _walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    entries: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        entries = iter(value.items())
    elif isinstance(value, list):
        entries = iter(enumerate(value))
    for key, below in entries:
        yield (*path, key), below
        yield from _walk(below, (*path, key))

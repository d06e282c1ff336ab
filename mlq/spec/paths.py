"""Key paths: where something stands in a job file."""

from __future__ import annotations

KeyPath = tuple[str | int, ...]
#: key or index -> (line, marks of what stands there)
Marks = dict[str | int, tuple[int, "Marks | None"]]


def format_path(path: KeyPath) -> str:
    """A key path as people write it: `jobs.prep.inputs.types`, `jobs.prep.inputs.clip[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text

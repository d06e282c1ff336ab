"""The code of a component on its way to a worker: the Python files beside it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlq.client.snapshots import Snapshot, take
from mlq.errors import TooLargeError

MAX_FILES = 2000
MAX_BYTES = 16 << 20
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})


def import_path(function: Callable[..., Any]) -> str:
    """`module:name` of a function, where it can be imported again; a script is a module there."""
    module = function.__module__
    if module == "__main__":
        module = Path(inspect.getfile(function)).stem
    return f"{module}:{function.__qualname__}"


def code_root(function: Callable[..., Any]) -> Path | None:
    """The folder that the function's module is imported from; None for installed packages."""
    file = Path(inspect.getfile(function)).resolve()
    depth = import_path(function).partition(":")[0].count(".")
    root = file.parents[depth + (file.name == "__init__.py")]
    installed = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    is_installed = _SKIPPED & set(root.parts) or any(root.is_relative_to(p) for p in installed)
    return None if is_installed else root


def take_python(root: Path) -> Snapshot:
    """The snapshot of the Python files below `root`; the same files, the same digest.

    Hidden folders, virtual environments and caches are left out. Raises TooLargeError beyond
    MAX_FILES or MAX_BYTES.
    """
    size = 0
    found: list[tuple[str, Path]] = []
    for file in _python_files(root):
        size += file.stat().st_size
        found.append((file.relative_to(root).as_posix(), file))
        if len(found) > MAX_FILES or size > MAX_BYTES:
            raise TooLargeError(
                f"{root} holds more Python code than is sent along "
                f"({MAX_FILES} files, {MAX_BYTES >> 20} MiB).",
                hint="Put the pipeline into a folder of its own.",
            )
    return take(found)


def _python_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in _SKIPPED:
            continue
        if path.is_dir() and not path.is_symlink():
            if not (path / "pyvenv.cfg").exists():
                yield from _python_files(path)
        elif path.suffix == ".py" and path.is_file():
            yield path

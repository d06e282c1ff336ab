"""The code folder of a job: which of its files go along.

What an `.amlignore` in it names stays here, or a `.gitignore` where there is no `.amlignore`; so do
`.git`, caches of Python and virtual environments.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from mlq.client.snapshots import Snapshot, take
from mlq.errors import MlqError, TooLargeError

MAX_FILES = 20_000
MAX_BYTES = 512 << 20
IGNORE_FILES = (".amlignore", ".gitignore")
_NEVER = frozenset({".git", "__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache"})

#: Whether a path in the folder stays here; those of folders end with '/'.
Ignored = Callable[[str], bool]


def take_code(folder: Path) -> Snapshot:
    """The snapshot of a code folder.

    Raises TooLargeError beyond MAX_FILES or MAX_BYTES; MlqError (code `unusable_code`) where it
    holds no file, or a link that leads out of it or nowhere, a device or such.
    """
    root = folder.resolve()
    found = list(_bounded(scan(root, read_ignored(root)), root))
    if not found:
        raise MlqError(
            f"The code folder {folder} holds no file that goes along.",
            code="unusable_code",
            hint=f"Look at what {' or '.join(IGNORE_FILES)} in it leaves out.",
        )
    return take(found)


def read_ignored(root: Path) -> Ignored:
    """What the ignore file of a code folder leaves out; nothing where there is none."""
    for name in IGNORE_FILES:
        file = root / name
        if file.is_file():
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            try:
                return GitIgnoreSpec.from_lines(lines).match_file
            except ValueError as error:
                raise MlqError(
                    f"{file} cannot be read: {error}.",
                    code="unusable_code",
                    hint="It is written as a .gitignore: a pattern a line.",
                ) from None
    return lambda path: False


def scan(root: Path, is_ignored: Ignored = lambda path: False) -> Iterator[tuple[str, Path]]:
    """Yield (path with '/', path on disk) of every file that goes along.

    root: resolved. A link to something in the folder is taken for what it leads to.
    Raises MlqError (code `unusable_code`) for everything else that is no file.
    """
    pending: list[tuple[str, Path, tuple[Path, ...]]] = [("", root, (root,))]
    while pending:
        prefix, folder, above = pending.pop()
        with os.scandir(folder) as items:
            listed = sorted(items, key=lambda item: item.name)
        for item in listed:
            path = prefix + item.name
            is_folder = item.is_dir()  # of a link: what it leads to
            if item.name in _NEVER or is_ignored(f"{path}/" if is_folder else path):
                continue
            target = Path(item.path)
            if item.is_symlink():
                target = _follow(target, path, root)
            if is_folder:
                if (target / "pyvenv.cfg").exists():
                    continue
                if target in above:
                    raise _unusable(path, "is a link to a folder that it lies in")
                pending.append((f"{path}/", target, (*above, target)))
            else:
                if not target.is_file():
                    raise _unusable(path, "is neither a file nor a folder")
                yield path, target


def _follow(link: Path, path: str, root: Path) -> Path:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise _unusable(path, "is a link that leads nowhere") from None
    if not target.is_relative_to(root):
        raise _unusable(path, f"is a link that leads out of the folder, to {target}")
    return target


def _bounded(found: Iterator[tuple[str, Path]], root: Path) -> Iterator[tuple[str, Path]]:
    size_bytes = 0
    for number, (path, file) in enumerate(found, start=1):
        size_bytes += file.stat().st_size
        if number > MAX_FILES or size_bytes > MAX_BYTES:
            raise TooLargeError(
                f"The code folder {root} holds more than goes along: at most {MAX_FILES:,} files "
                f"and {MAX_BYTES >> 20} MiB (reached at {path}).",
                code="code_too_large",
                hint="Leave out data and results: name them in a file .amlignore in the folder, "
                "written as a .gitignore. Data goes along as an input.",
            )
        yield path, file


def _unusable(path: str, what: str) -> MlqError:
    return MlqError(
        f"{path} in the code folder {what}.",
        code="unusable_code",
        hint="Put a copy in its place, or name it in a file .amlignore in the folder.",
    )

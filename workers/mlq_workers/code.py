"""The code folder of a command: unpacked once on this machine, copied for each attempt."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mlq.artifacts import Store


def copy_code(store: Store, digest: str, folder: Path) -> None:
    """Fill `folder`, which is there and empty, with the code that has this digest.

    A copy, and no links: a command may write to its code, and what is unpacked is everybody's.
    Raises as `Store.fetch` does.
    """
    shared = store.fetch(digest, kind="tree")
    for current, folders, files in os.walk(shared):
        target = folder / Path(current).relative_to(shared)
        for name in folders:
            (target / name).mkdir(mode=0o700)
        for name in files:
            source = Path(current, name)
            made = target / name
            shutil.copyfile(source, made)
            if source.stat().st_mode & 0o100:
                made.chmod(0o700)

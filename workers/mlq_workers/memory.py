"""What a process that is to fork does with its memory first."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

#: madvise(2): the pages may go. Of code mapped from a file, the next use reads them from the page
#: cache again.
_MADV_DONTNEED = 4


def settle() -> None:
    """Make all that is imported by now cheap to share with the processes forked later.

    The collector is kept from writing to it, which would copy every page it is on. Code that ran
    once, at import, is unmapped: the kernel may then drop it when memory gets short, and pages in
    again what is used (Linux; elsewhere it stays).
    """
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for start, length in code_mappings():
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_DONTNEED)


def code_mappings() -> Iterator[tuple[int, int]]:
    """(address, length in bytes) of what is mapped from a file to be executed, and never written.

    Only those may be dropped: read-only data has been written to by the loader, which relocates it.
    """
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, mode, _, _, inode, *name = line.split(maxsplit=5)
        if mode == "r-xp" and inode != "0" and name:
            start, end = (int(one, 16) for one in addresses.split("-"))
            yield start, end - start

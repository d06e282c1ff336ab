"""Ends the process at named points, so that tests see what a crash there leaves behind.

`MLQ_CRASH_AT=POINT,POINT:FOLDER` ends the first process that comes to each POINT, at once, as a
power failure would; the file FOLDER/POINT is made by it and keeps all others alive. Points are
`WORK.before_commit` and `WORK.after_commit` of every transaction, by the name of the function that
works in it, and those of `MESSAGES`. Nothing but tests sets the variable.
"""

from __future__ import annotations

import os
from pathlib import Path

EXIT_CODE = 86
#: Points on the way of a message.
MESSAGES = (
    "message.before_publish",
    "message.after_publish",
    "message.acknowledged",  # taken off the broker, and not claimed yet
    "message.before_next_link",  # its leaf has committed, and its chain would go on
)

_wanted, _, _FOLDER = os.environ.get("MLQ_CRASH_AT", "").partition(":")
_POINTS = frozenset(_wanted.split(","))


def reach(point: str) -> None:
    """End the process here if one is to end at `point`, and none has."""
    if point not in _POINTS:
        return
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        os.close(os.open(Path(_FOLDER, point), flags, 0o600))
    except FileExistsError:
        return
    os._exit(EXIT_CODE)

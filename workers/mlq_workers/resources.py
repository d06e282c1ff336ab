"""What this host has to offer, and how much of it a slot may use."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from threadpoolctl import threadpool_limits

#: Read by the libraries once, when they are loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


@dataclass(frozen=True, slots=True)
class Host:
    """cores: CPUs that this process may use, a fraction where a container has one.

    memory_bytes: RAM, or the limit of the container where that is lower.
    """

    hostname: str
    cores: float
    memory_bytes: int


def host_facts(root: Path = Path("/")) -> Host:
    """What this process may use of its host: affinity and control groups (v1 and v2) respected.

    root: where /proc and /sys are.
    """
    cores = float(_usable_cores())
    memory_bytes = int(psutil.virtual_memory().total)
    for folder in _control_groups(root, "cpu"):
        quota = _cpu_quota(folder)
        cores = cores if quota is None else min(cores, quota)
    for folder in _control_groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _number(_read(folder / name))
            # v1 writes "no limit" as a number beyond any memory.
            memory_bytes = memory_bytes if not limit else min(memory_bytes, int(limit))
    return Host(socket.gethostname(), cores, memory_bytes)


def threads_per_slot(cores: float, slots: int) -> int:
    """Threads for each of `slots` so that together they do not exceed `cores`; at least 1."""
    return max(1, int(cores) // max(1, slots))


def thread_limits(count: int) -> dict[str, str]:
    """Environment variables that limit BLAS, OpenMP and the like to `count` threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(max(1, count)))


def limit_threads(count: int, *, environment: MutableMapping[str, str] = os.environ) -> None:
    """Limit this process to `count` threads per computation.

    Libraries that are not loaded yet read the variables; those that are, are told directly.
    """
    environment.update(thread_limits(count))
    threadpool_limits(limits=max(1, count))


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, the innermost first."""
    mount = root / "sys/fs/cgroup"
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top = mount
        elif controller in controllers.split(","):
            top = next(
                (mount / name for name in (controllers, controller) if (mount / name).is_dir()),
                mount / controller,
            )
        else:
            continue
        folder = top / path.lstrip("/")
        # In a container the path may be that of the host, of which only the top is visible.
        yield from (here for here in (folder, *folder.parents) if here.is_relative_to(top))


def _cpu_quota(folder: Path) -> float | None:
    """CPUs that a control group may use, or None where it has no limit."""
    if text := _read(folder / "cpu.max"):
        quota, period = (_number(word) for word in text.split())
    else:
        quota = _number(_read(folder / "cpu.cfs_quota_us"))
        period = _number(_read(folder / "cpu.cfs_period_us"))
    return quota / period if quota and quota > 0 and period else None


def _number(text: str | None) -> float | None:
    """The number in `text`, or None for "max" or nothing."""
    return float(text) if text and text.strip().lstrip("-").isdigit() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None

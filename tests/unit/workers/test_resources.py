"""What a host has, with control groups laid out in a folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest
import threadpoolctl

from mlq_workers.resources import THREAD_VARIABLES, host_facts, limit_threads, threads_per_slot

MIB = 1 << 20


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_this_host() -> None:
    host = host_facts()
    assert host.hostname == socket.gethostname()
    assert 0 < host.cores <= (os.cpu_count() or 1)
    assert 0 < host.memory_bytes <= psutil.virtual_memory().total


def test_without_control_groups_all_is_there(tmp_path: Path) -> None:
    assert host_facts(tmp_path).memory_bytes == psutil.virtual_memory().total


def test_tightest_group_counts(tmp_path: Path) -> None:
    top = "sys/fs/cgroup"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/mlq/worker\n",
            f"{top}/mlq/worker/memory.max": f"{64 * MIB}\n",
            f"{top}/mlq/worker/cpu.max": "max 100000\n",
            f"{top}/mlq/memory.max": "max\n",
            f"{top}/mlq/cpu.max": "50000 100000\n",
        },
    )
    host = host_facts(root)
    assert (host.cores, host.memory_bytes) == (0.5, 64 * MIB)


def test_container_sees_its_limits_at_the_top(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/docker-1234.scope\n",
            "sys/fs/cgroup/memory.max": f"{32 * MIB}",
            "sys/fs/cgroup/cpu.max": "75000 100000",
        },
    )
    host = host_facts(root)
    assert (host.cores, host.memory_bytes) == (0.75, 32 * MIB)


def test_version_one(tmp_path: Path) -> None:
    top = "sys/fs/cgroup"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/\n",
            f"{top}/memory/memory.limit_in_bytes": "9223372036854771712\n",
            f"{top}/memory/job/memory.limit_in_bytes": f"{16 * MIB}\n",
            f"{top}/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            f"{top}/cpu,cpuacct/job/cpu.cfs_quota_us": "25000\n",
            f"{top}/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        },
    )
    host = host_facts(root)
    assert (host.cores, host.memory_bytes) == (0.25, 16 * MIB)


@pytest.mark.parametrize(
    ("cores", "slots", "threads"), [(8, 2, 4), (8, 3, 2), (2, 4, 1), (0.5, 1, 1), (4, 0, 4)]
)
def test_threads_per_slot(cores: float, slots: int, threads: int) -> None:
    assert threads_per_slot(cores, slots) == threads


def test_limit_reaches_what_is_loaded_and_what_comes() -> None:
    import numpy as np  # noqa: F401 - loads its BLAS

    before = threadpoolctl.threadpool_info()
    assert before
    environment: dict[str, str] = {}
    try:
        limit_threads(1, environment=environment)
        assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {1}
    finally:
        threadpoolctl.threadpool_limits({pool["prefix"]: pool["num_threads"] for pool in before})
    assert environment == dict.fromkeys(THREAD_VARIABLES, "1")

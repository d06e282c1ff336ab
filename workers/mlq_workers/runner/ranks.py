"""Several processes of one command, which find each other as `torchrun` would let them.

Run as `python -I -S ranks.py COUNT PROGRAM ARGUMENT…` in place of the command. Each process gets
the variables that `torch.distributed` reads (its "Environment variable initialization"):
MASTER_ADDR and MASTER_PORT of rank 0, RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE.
When one fails the others are stopped: they would wait for it until a timeout of their own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

_HOST = "127.0.0.1"
_GRACE_S = 5.0


def variables(rank: int, count: int, port: int) -> dict[str, str]:
    """What tells one of `count` processes which it is, and where rank 0 listens."""
    return {
        "MASTER_ADDR": _HOST,
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0",
        "NODE_RANK": "0",
    }


def run(count: int, argv: list[str]) -> int:
    """Run `count` processes to their end; the exit code of the first that failed, else 0."""
    port = _find_port()
    # what stops the command reaches its whole group: each process ends by itself
    signal.signal(signal.SIGTERM, lambda *_: None)
    ranks = {}
    for rank in range(count):
        process = subprocess.Popen(argv, env={**os.environ, **variables(rank, count, port)})
        ranks[process.pid] = (rank, process)
    failed = 0
    while ranks:
        pid, status = os.wait()
        if pid not in ranks:
            continue  # somebody else's orphan
        rank, process = ranks.pop(pid)
        process.returncode = code = os.waitstatus_to_exitcode(status)
        if code != 0 and not failed:
            failed = code if code > 0 else 128 - code
            sys.stderr.write(f"[mlq] Rank {rank} of {count} ended with {_words(code)}.\n")
            sys.stderr.flush()
            _stop([process for _, process in ranks.values()])
            ranks = {}
    return failed


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _words(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _find_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2:]))

"""Runs a user's command as a supervised process.

    worker's pool process  ──Popen──>  guard.py  ──fork, gate, exec──>  shell and what it starts
         command.py                   (subreaper)                      (own session and group)

A plain Python script may start from a prepared process instead, which warm.py keeps; guard and
command are then forks of it (prepared.py).

command.py decides (time, memory, cancel, log), guard.py acts: it alone signals and reaps the
user's processes, and ends all of them when the worker dies. Nothing here knows the database.
"""

from __future__ import annotations

from mlq_workers.runner.command import CommandOutcome, CommandSpec, run_command
from mlq_workers.runner.environment import command_environment, render_command
from mlq_workers.runner.warm import WarmStarts

__all__ = [
    "CommandOutcome",
    "CommandSpec",
    "WarmStarts",
    "command_environment",
    "render_command",
    "run_command",
]

"""Sweeps on a worker: runners that run trials, and the leaf that makes the sweep's outputs."""

from mlq_workers.sweeps.best import BestHandler
from mlq_workers.sweeps.runner import RunnerHandler

__all__ = ["BestHandler", "RunnerHandler"]

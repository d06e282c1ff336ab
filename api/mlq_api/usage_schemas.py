"""What an attempt of a command used, as the API answers it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, Field

from mlq.db import usage


class UsageSample(BaseModel):
    """A stretch of an attempt, from the sample before."""

    at_s: float = Field(description="Its end, in seconds since the command began.")
    cpu: float = Field(description="CPUs in use: 1.0 for one that was busy all the time.")
    rss_bytes: int = Field(description="Memory of all processes together.")
    gpu: float | None = Field(default=None, description="How busy its GPUs were, 0 to 1.")
    gpu_memory_bytes: int | None = Field(default=None, description="In use on them, by anybody.")


class Usage(BaseModel):
    """Samples are a second apart at first, and further apart in attempts that take long."""

    attempt: int
    wall_s: float
    cpu_s: float = Field(description="Of all processes.")
    max_rss_bytes: int = Field(description="The most memory that was seen.")
    samples: list[UsageSample] = Field(description="At most 120, in order.")


def usage_view(attempt: int, found: usage.Usage) -> dict[str, Any]:
    """As `Usage` describes it."""
    return {
        "attempt": attempt,
        "wall_s": found.wall_s,
        "cpu_s": found.cpu_s,
        "max_rss_bytes": found.peak_rss_bytes,
        "samples": [asdict(sample) for sample in found.samples],
    }

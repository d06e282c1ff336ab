"""The shape of what `/v1/environments` answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from mlq_api.schemas import _example


class Environment(BaseModel):
    """A version of an environment; of a single one, `definition` is its file."""

    model_config = _example(
        id="mlq:churn:1",
        name="churn",
        version="1",
        description="",
        requirements=["scikit-learn>=1.5"],
        warnings=[],
        created_by="ci",
        created_at="2026-11-28T10:00:00Z",
    )
    id: str = Field(description="As job files name it: `mlq:churn:3`.")
    name: str
    version: str
    description: str = ""
    requirements: list[str] = Field(description="Lines for pip; none: the worker's own Python.")
    warnings: list[str] = Field(description="What of the file is kept and not used.")
    created_by: str
    created_at: datetime
    definition: dict[str, Any] | None = None

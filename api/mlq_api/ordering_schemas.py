"""Where a waiting job is to go."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Move(BaseModel):
    """Another priority, or another place among jobs of the same priority."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"to": "front"}]})
    priority: int | None = Field(default=None, ge=-100, le=100)
    to: Literal["front", "back"] | None = None
    before: str | None = Field(default=None, max_length=255, description="Another job.")

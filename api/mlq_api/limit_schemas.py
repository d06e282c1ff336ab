"""Limits as the API takes and answers them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Slots(BaseModel):
    """How many may run at once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"slots": 4}]})
    slots: int = Field(ge=0, le=1_000_000, strict=True)


class LimitView(BaseModel):
    """A limit, or the quota of a project. waiting: steps that were refused and wait for it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "feature-store",
                    "slots": 4,
                    "in_use": 4,
                    "waiting": 12,
                    "set_by": "ann",
                    "set_at": "2026-11-28T08:00:00Z",
                }
            ]
        }
    )
    name: str
    slots: int
    in_use: int
    waiting: int
    set_by: str
    set_at: datetime

"""Secrets as the API takes and lists them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class SecretValue(BaseModel):
    """A secret's value, 4 to 32,768 characters."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"value": "hunter2-and-more"}]}
    )
    value: str


class SecretView(BaseModel):
    """A secret without its value."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "API_KEY", "set_by": "ann", "set_at": "2026-11-28T08:00:00Z"}]
        }
    )
    name: str
    set_by: str
    set_at: datetime

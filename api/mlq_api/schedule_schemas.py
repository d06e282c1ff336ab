"""Schedules as the API takes and answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_AT = "2026-11-28T08:00:00Z"
_ID = "0199f2c81a2b7c3d8e4f5a6b7c8d9e0f"


class ScheduleView(BaseModel):
    """A stored job and its trigger."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "nightly",
                    "display_name": "nightly",
                    "description": "",
                    "tags": {},
                    "trigger": {"type": "cron", "expression": "0 2 * * *", "time_zone": "UTC"},
                    "job": {"type": "command", "command": "echo hello"},
                    "catch_up": "latest",
                    "overlap": "skip",
                    "is_enabled": True,
                    "next_at": _AT,
                    "created_by": "admin",
                    "created_at": _AT,
                    "updated_at": _AT,
                }
            ]
        }
    )
    name: str
    display_name: str
    description: str = ""
    tags: dict[str, Any] = {}
    trigger: dict[str, Any]
    job: dict[str, Any] = Field(description="What it submits, with its expressions.")
    catch_up: str
    overlap: str
    is_enabled: bool
    next_at: datetime | None = Field(default=None, description="Of a timed one: when it is due.")
    next_times: list[datetime] | None = Field(
        default=None, description="Of a timed one that is shown alone: the next five."
    )
    watched: str | None = Field(
        default=None, description="The data asset that it waits for, or `endpoint:NAME`."
    )
    seen_version: int | None = None
    hook_url: str | None = Field(default=None, description="Where a webhook is to be sent.")
    secret: str | None = Field(
        default=None, description="Of a webhook, answered once: when it is made or renewed."
    )
    created_by: str
    created_at: datetime
    updated_at: datetime


class SchedulePlan(BaseModel):
    """What a schedule would do, were it made now."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "nightly", "is_new": True, "next_times": [_AT]}]}
    )
    name: str
    is_new: bool
    next_times: list[datetime] = Field(description="Of a timed one: the next five.")


class Firing(BaseModel):
    """One time that a schedule was due, and what came of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": _AT,
                    "due_at": _AT,
                    "at": _AT,
                    "outcome": "submitted",
                    "job_id": _ID,
                    "context": {"trigger_time": _AT},
                }
            ]
        }
    )
    key: str
    due_at: datetime
    at: datetime
    outcome: Literal["submitted", "waiting", "skipped", "missed", "failed"]
    job_id: str | None = None
    context: dict[str, str] = {}
    detail: dict[str, Any] | None = None


class Triggering(BaseModel):
    """Fires a schedule now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"context": {}}]})
    context: dict[str, str] = Field(
        default={}, description="What the trigger would have known: `data`, `commit`, …"
    )


class Delivered(BaseModel):
    """What a webhook did. outcome `ignored`: it is not for this schedule's branch, or was here."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"outcome": "submitted", "job_id": _ID}]}
    )
    outcome: str
    job_id: str | None = None

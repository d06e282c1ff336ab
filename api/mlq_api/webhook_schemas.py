"""Webhooks as the API takes and answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_ID = "0199f2c81a2b7c3d8e4f5a6b7c8d9e0f"
_AT = "2026-11-28T08:00:00Z"


class NewWebhook(BaseModel):
    """Who is to be told of what. target: a URL, or an e-mail address."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "form": "slack",
                    "target": "https://hooks.example.org/services/T0/B0",
                    "kinds": ["job.fail", "job.wait", "model"],
                }
            ]
        },
    )
    form: Literal["json", "slack", "email"] = "json"
    target: str = Field(max_length=2000)
    kinds: list[str] = Field(max_length=100)


class WebhookView(BaseModel):
    """A webhook. secret: in the answer that made it, and in no other."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "chat",
                    "form": "slack",
                    "target": "https://hooks.example.org/services/T0/B0",
                    "kinds": ["job.fail"],
                    "created_by": "admin",
                    "created_at": _AT,
                }
            ]
        }
    )
    name: str
    form: str
    target: str
    kinds: list[str]
    secret: str | None = None
    created_by: str
    created_at: datetime


class DeliveryView(BaseModel):
    """One message to one webhook."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "event": "0.17",
                    "kind": "job.fail",
                    "state": "delivered",
                    "tries": 1,
                    "status": 200,
                    "created_at": _AT,
                    "delivered_at": _AT,
                    "payload": {"kind": "job.fail"},
                }
            ]
        }
    )
    id: str
    event: str
    kind: str
    state: Literal["pending", "delivered", "failed"]
    tries: int
    next_at: datetime | None = None
    status: int | None = Field(default=None, description="HTTP status of the last answer.")
    error: str | None = None
    created_at: datetime
    delivered_at: datetime | None = None
    payload: dict[str, Any]

"""Decisions that are asked for, as the API takes and answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_ID = "0199f2c81a2b7c3d8e4f5a6b7c8d9e0f"
_AT = "2026-11-28T08:00:00Z"


class ApprovalView(BaseModel):
    """A step that waits for a person, with what there is to decide by."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "root_id": _ID,
                    "root_name": "churn",
                    "path": "approve",
                    "message": "Put the new model into production?",
                    "role": "submitter",
                    "approvers": [],
                    "four_eyes": False,
                    "subject": {"version": {"type": "string", "value": "models:/churn/4"}},
                    "numbers": {"evaluate": {"roc_auc": 0.93}},
                    "submitted_by": "ann",
                    "waiting_since": _AT,
                }
            ]
        }
    )
    id: str
    root_id: str
    root_name: str
    path: str
    message: str = ""
    role: str = Field(description="The least role that may decide.")
    approvers: list[str] = Field(default=[], description="Tokens that may; empty for all.")
    four_eyes: bool = Field(default=False, description="Not who submitted the job.")
    subject: dict[str, Any] = Field(default={}, description="What is handed on when approved.")
    numbers: dict[str, dict[str, float | None]] = Field(
        default={}, description="Metrics of the steps that the subject comes from."
    )
    submitted_by: str
    waiting_since: datetime
    expires_at: datetime | None = Field(default=None, description="Turned down by itself then.")


class Decision(BaseModel):
    """Approves or rejects."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"comment": "looks good"}]})
    comment: str = Field(default="", max_length=2000)

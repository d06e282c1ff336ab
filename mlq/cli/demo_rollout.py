"""The demo's staged rollout: asked all the while, and shown stage by stage."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlq.cli.rollout import say_stage
from mlq.client import Client
from mlq.client.documents import Rollout

_PAUSE_S = 0.02
_LOOK_S = 0.25


def watch(
    client: Client,
    endpoint: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    say: Callable[[str], None],
) -> Rollout:
    """Ask `endpoint` until its newest rollout has ended; say who answered in each stage.

    Raises an MlqError where a question gets no answer.
    """
    answers: Counter[str] = Counter()
    stage: str | None = None
    while True:
        rollout = client.endpoints.rollouts(endpoint, limit=1)[0]
        is_over = rollout["ended_at"] is not None
        if stage is not None and (is_over or say_stage(rollout) != stage):
            candidate = answers.pop(rollout["model"], 0)
            others = answers.total()
            say(f"{stage}: {candidate} of {candidate + others} questions went to the new version")
            answers.clear()
        if is_over:
            return rollout
        stage = say_stage(rollout)
        until = time.monotonic() + _LOOK_S
        while time.monotonic() < until:
            answers[client.endpoints.predict(endpoint, rows)["model"]] += 1
            time.sleep(_PAUSE_S)

"""Model cards: everything there is to know, and nothing that breaks out of the page."""

from __future__ import annotations

from typing import Any

from mlq.models.card import as_html, as_markdown, make_card

VERSION: dict[str, Any] = {
    "uri": "models:/churn/3",
    "description": "For <script>alert(1)</script> | mondays",
    "aliases": ["production"],
    "created_at": "2026-11-28T08:00:00Z",
    "created_by": "ann",
    "digest": "d" * 64,
    "metrics": {"accuracy": 0.9123456789},
    "report": {
        "directions": {"accuracy": "maximize"},
        "comparison": {
            "champion": "models:/churn/2",
            "metric": "accuracy",
            "gain": 0.05,
            "interval": {"low": 0.01, "high": 0.09},
        },
    },
}
CARD = make_card(
    VERSION,
    lineage={
        "upstream": [
            {"kind": "job", "uri": "job:1", "note": "train"},
            {"kind": "data", "uri": "mlq:churn:7", "note": "prep.data"},
        ],
        "downstream": [{"kind": "deployment", "uri": "churn/blue", "note": "follows @production"}],
    },
    code=[("train", "e" * 64)],
    moves=[
        {
            "at": "2026-11-28T09:00:00Z",
            "actor": "bob",
            "act": "promote",
            "alias": "production",
            "previous": 2,
            "version": 3,
            "reason": "better on May",
        }
    ],
    folds={"accuracy": 0.9, "accuracy_std": 0.02, "seconds": 1.0},
    metadata={"task": "classification", "params": {"C": 0.5}},
    requirements=["scikit-learn==1.8.0"],
    plots={"ranking.png": b"\x89PNG"},
)


def test_a_card_has_what_there_is_to_know() -> None:
    for text in (as_markdown(CARD), as_html(CARD)):
        for fact in (
            "mlq:churn:7", "e" * 64, "0.5", "0.912346", "0.01 to 0.09", "0.9 ± 0.02",
            "scikit-learn==1.8.0", "bob", "better on May", "churn/blue", "ranking.png",
        ):  # fmt: skip
            assert fact in text, fact


def test_what_users_wrote_stays_text() -> None:
    assert "<script>" not in as_html(CARD)
    assert "\\<script>" in as_markdown(CARD)
    assert "\\| mondays" in as_markdown(CARD)

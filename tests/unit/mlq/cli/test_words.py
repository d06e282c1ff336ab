"""Numbers, times and sizes as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlq.cli.words import pick_metrics, say_age, say_duration, say_number, say_size, say_state

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.004, "0.00 s"),
        (0.42, "0.42 s"),
        (12.34, "12.3 s"),
        (61, "1 min 01 s"),
        (7260, "2 h 01 min"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert say_duration(seconds) == words


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=-1), "just now"),
        (timedelta(seconds=40), "40 s ago"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=2), "2 d ago"),
        (timedelta(days=8), "2026-11-15"),
    ],
)
def test_ages(ago: timedelta, words: str) -> None:
    assert say_age((NOW - ago).isoformat().replace("+00:00", "Z"), now=NOW) == words


def test_no_time_has_no_age() -> None:
    assert say_age(None, now=NOW) == ""


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes(size: int, words: str) -> None:
    assert say_size(size) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.98765, "0.9877"), (3.0, "3"), (None, "nan"), (1e-7, "1e-07")]
)
def test_numbers(value: float | None, words: str) -> None:
    assert say_number(value) == words


def test_an_error_is_no_reason_worth_a_word() -> None:
    assert say_state("failed", "error") == "failed"
    assert say_state("failed", "rejected") == "failed (rejected)"


def test_what_judges_a_model_comes_first() -> None:
    metrics = {"log_loss": 0.2, "accuracy_std": 0.1, "roc_auc": 0.9, "accuracy": 0.8}
    assert pick_metrics(metrics) == [("accuracy", 0.8), ("roc_auc", 0.9)]
    assert pick_metrics(None) == []

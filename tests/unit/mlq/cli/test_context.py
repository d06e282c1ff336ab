"""How things are named."""

from __future__ import annotations

import click
import pytest

from mlq.cli.context import split_version


@pytest.mark.parametrize(
    ("ref", "parts"),
    [
        ("churn", ("churn", None)),
        ("churn:3", ("churn", "3")),
        ("churn@production", ("churn", "production")),
        ("models:/churn/7", ("churn", "7")),
        ("models:/churn@staging", ("churn", "staging")),
        ("mlq:churn:3", ("churn", "3")),
        ("azureml:churn@latest", ("churn", "latest")),
    ],
)
def test_split_version(ref: str, parts: tuple[str, str | None]) -> None:
    assert split_version(ref, None) == parts


def test_a_version_is_given_once() -> None:
    assert split_version("churn", "3") == ("churn", "3")
    with pytest.raises(click.UsageError):
        split_version("churn:3", "4")

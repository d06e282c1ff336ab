from __future__ import annotations

import pytest

from mlq.errors import MlqError
from mlq.service.assets import Reference, parse

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("mlq:churn:3", Reference("data", "churn", "3")),
        ("azureml:churn@latest", Reference("data", "churn", "latest")),
        ("models:/churn/3", Reference("model", "churn", "3")),
        ("models:/churn/latest", Reference("model", "churn", "latest")),
        ("models:/churn@latest", Reference("model", "churn", "latest")),
        ("models:/churn@production", Reference("model", "churn", "production", is_alias=True)),
        (f"artifact:sha256:{HEX}", Reference("artifact", None, digest=HEX)),
        (f"artifact:sha256:{HEX}/a.csv", Reference("artifact", "a.csv", digest=HEX)),
    ],
)
def test_a_reference_taken_apart(text: str, reference: Reference) -> None:
    assert parse(text) == reference


@pytest.mark.parametrize("text", ["mlq:churn", "churn.csv", "https://a.org/b", "models:/churn", ""])
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(MlqError) as refused:
        parse(text)
    assert refused.value.code == "invalid"

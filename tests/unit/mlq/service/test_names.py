from __future__ import annotations

import pytest

from mlq.errors import MlqError
from mlq.service import names


@pytest.mark.parametrize("name", ["a", "0", "churn-2.v_1", "x" * 255])
def test_a_name(name: str) -> None:
    assert names.check_name(name, what="model") == name


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a/b", "a b", "ä", "x" * 256, "a\n", None])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(MlqError) as refused:
        names.check_name(name, what="model")
    assert refused.value.code == "invalid"
    assert "model" in refused.value.message


@pytest.mark.parametrize("alias", ["production", "v3-canary", "x" * 64])
def test_an_alias(alias: str) -> None:
    assert names.check_alias(alias) == alias


@pytest.mark.parametrize("alias", ["latest", "LATEST", "3", "v3", "", "1st", "x" * 65, "a@b"])
def test_what_is_no_alias(alias: str) -> None:
    with pytest.raises(MlqError):
        names.check_alias(alias)


@pytest.mark.parametrize("digest", ["A" * 64, "a" * 63, "g" * 64, "sha256:" + "a" * 64])
def test_what_is_no_digest(digest: str) -> None:
    with pytest.raises(MlqError):
        names.check_digest(digest)


def test_text_has_a_limit_and_no_nul() -> None:
    assert names.check_text("why not", what="reason") == "why not"
    for text in ("a\x00b", "x" * 10_001):
        with pytest.raises(MlqError):
            names.check_text(text, what="reason")

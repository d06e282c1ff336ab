from __future__ import annotations

import pytest

from mlq.service.attempt_tokens import Signer
from mlq.service.tokens import AttemptScope

JOB = "0" * 31 + "1"
SIGNER = Signer("ab" * 32)


def test_a_token_says_whose_it_is() -> None:
    assert SIGNER.scope_of(SIGNER.token_for(JOB, 3)) == AttemptScope(JOB, 3)
    assert Signer("cd" * 32).scope_of(SIGNER.token_for(JOB, 3)) is None
    assert "ab" not in repr(SIGNER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_3_", "_4_"),
        ("_3_", "_03_"),
        ("_3_", f"_{2**63}_"),
        ("_3_", "_-3_"),
        (JOB, "0" * 32),
        ("mlqa_", "mlq_"),
    ],
)
def test_a_token_of_another_attempt_is_not_made_from_ours(old: str, new: str) -> None:
    assert SIGNER.scope_of(SIGNER.token_for(JOB, 3).replace(old, new, 1)) is None
    assert SIGNER.scope_of(SIGNER.token_for(JOB, 3)[:-1]) is None
    assert SIGNER.scope_of(SIGNER.token_for(JOB, 3) + "\n") is None

from __future__ import annotations

import pytest

from mlq_api.guards import allowed_hosts


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        ("127.0.0.1", set()),
        ("0.0.0.0", set()),
        ("::", set()),
        ("10.1.2.3", {"10.1.2.3"}),
        ("fd00::1", {"[fd00::1]"}),
    ],
)
def test_a_server_answers_to_what_it_binds(bound: str, expected: set[str]) -> None:
    loopback = {"127.0.0.1", "localhost", "[::1]"}
    assert allowed_hosts(bound, ["MLQ.example"]) == loopback | expected | {"mlq.example"}

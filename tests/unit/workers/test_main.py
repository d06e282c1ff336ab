from __future__ import annotations

import socket

import pytest

from mlq_workers.__main__ import describe, main, node_name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:se%40cret@127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("amqp://ann:secret@[::1]:5672/mlq", "amqp://[::1]:5672/mlq"),
        ("redis+socket:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        ("amqp://rabbit?password=secret", "amqp://rabbit"),
    ],
)
def test_the_broker_is_named_without_its_password(url: str, shown: str) -> None:
    assert describe(url, ["cpu", "gpu"], 2) == f"connected to {shown}, serving cpu, gpu, 2 slots"


def test_a_name_that_can_be_no_compute_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-Q", "cpu,a b"]) == 2
    assert "'a b' cannot name a compute" in capsys.readouterr().err


def test_a_name_is_that_of_a_node_on_this_host() -> None:
    here = socket.gethostname()
    assert [node_name(name) for name in ("a", "a@%h", "a@there")] == [
        f"a@{here}",
        f"a@{here}",
        "a@there",
    ]

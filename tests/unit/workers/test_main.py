from __future__ import annotations

import pytest

from mlq_workers.__main__ import describe


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

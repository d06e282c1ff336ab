from __future__ import annotations

import os
import random
import socket

import pytest

from mlq.onemachine import ports


@pytest.fixture
def listener() -> socket.socket:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server


def test_a_port_that_somebody_listens_on_is_not_free(listener: socket.socket) -> None:
    port = listener.getsockname()[1]

    assert not ports.is_free(ports.LOOPBACK, port)
    assert not ports.is_free("0.0.0.0", port)


def test_a_busy_port_names_its_owner(listener: socket.socket) -> None:
    owner = ports.find_owner(listener.getsockname()[1])

    assert owner is not None
    assert owner.endswith(f"(pid {os.getpid()})")


def test_a_port_nobody_listens_on_has_no_owner() -> None:
    assert ports.find_owner(ports.find_free_port()) is None


def test_free_ports_lie_below_those_that_the_kernel_hands_out() -> None:
    port = ports.find_free_port(rng=random.Random(7))

    assert 20_000 <= port < 32_768
    assert ports.is_free(ports.LOOPBACK, port)

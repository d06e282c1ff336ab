from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mlq.errors import ConflictError
from mlq.onemachine import ports, startup
from mlq.onemachine.startup import Options
from mlq.settings import Settings


def test_nothing_given_means_embedded_and_local(tmp_path: Path) -> None:
    layout = startup.make_layout(Settings(home=tmp_path), Options())

    assert layout.broker_port is not None
    assert layout.broker_password in layout.broker_url
    assert layout.database_url == f"sqlite:///{tmp_path}/mlq.db"
    assert layout.host == "127.0.0.1"
    assert layout.cores == startup.count_cores() >= 1


def test_a_given_broker_is_used_instead(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, broker_url="amqp://guest@broker//")

    layout = startup.make_layout(settings, Options(workers=0, flower=False))

    assert layout.broker_url == "amqp://guest@broker//"
    assert layout.broker_port is None
    assert layout.cores == 0
    assert layout.flower_port is None


def test_passwords_are_new_each_time(tmp_path: Path) -> None:
    first, second = (startup.make_layout(Settings(home=tmp_path), Options()) for _ in range(2))

    assert first.broker_password != second.broker_password
    assert first.flower_auth != second.flower_auth


def test_a_taken_port_names_its_owner(tmp_path: Path) -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        settings = Settings(home=tmp_path, port=server.getsockname()[1])

        with pytest.raises(ConflictError, match=r"is taken by .* \(pid \d+\)") as caught:
            startup.require_free_port(startup.make_layout(settings, Options()))

    assert "--port" in caught.value.hint


def test_what_does_not_answer_is_not_ready() -> None:
    url = f"http://127.0.0.1:{ports.find_free_port()}"

    assert not startup.is_ready(url)()

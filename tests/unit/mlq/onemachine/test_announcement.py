from __future__ import annotations

import getpass
import socket
from pathlib import Path

from mlq.onemachine import announcement
from mlq.service import tokens

LOGIN = "mlq_" + "x" * 24


def compose(**changes: object) -> str:
    arguments: dict[str, object] = {
        "api_url": "http://127.0.0.1:8420",
        "login": LOGIN,
        "workers": ["2 x cpu"],
        "home": Path.home() / ".mlq",
        "has_flower": True,
    }
    return announcement.compose(**(arguments | changes))


def test_the_block_fits_into_80_columns() -> None:
    text = compose(forwarding="ssh -N -L 8420:127.0.0.1:8420 somebody@192.168.100.200")

    assert max(map(len, text.splitlines())) <= announcement.WIDTH


def test_the_block_says_where_and_what() -> None:
    text = compose()

    assert f"http://127.0.0.1:8420/login?token={LOGIN}" in text
    assert "http://127.0.0.1:8420/flower/" in text
    assert "2 x cpu" in text
    assert "~/.mlq" in text


def test_without_workers_the_block_says_how_to_start_some() -> None:
    assert "mlq worker -Q cpu" in compose(workers=[])


def test_without_flower_there_is_no_word_of_it() -> None:
    assert "flower" not in compose(has_flower=False).lower()


def test_over_ssh_the_forwarding_line_is_given() -> None:
    came_in = {"SSH_CONNECTION": "10.0.0.9 51000 10.0.0.2 22"}

    line = announcement.forwarding_line(came_in, host="127.0.0.1", port=8420)

    assert line == f"ssh -N -L 8420:127.0.0.1:8420 {getpass.getuser()}@10.0.0.2"


def test_another_ssh_port_is_named() -> None:
    came_in = {"SSH_CONNECTION": "10.0.0.9 51000 10.0.0.2 2222"}

    line = announcement.forwarding_line(came_in, host="127.0.0.1", port=8420)

    assert line is not None
    assert line.startswith("ssh -N -p 2222 -L ")


def test_nothing_is_forwarded_without_ssh_or_to_an_open_address() -> None:
    came_in = {"SSH_CONNECTION": "10.0.0.9 51000 10.0.0.2 22"}

    assert announcement.forwarding_line({}, host="127.0.0.1", port=8420) is None
    assert announcement.forwarding_line(came_in, host="0.0.0.0", port=8420) is None


def test_addresses_for_this_machine_and_for_others() -> None:
    assert announcement.reachable_url("0.0.0.0", 8420) == "http://127.0.0.1:8420"
    assert announcement.reachable_url("::1", 8420) == "http://[::1]:8420"
    assert announcement.network_url("127.0.0.1", 8420) is None
    assert announcement.network_url("0.0.0.0", 8420) == f"http://{socket.gethostname()}:8420"
    assert announcement.network_names("127.0.0.1") == []
    assert socket.gethostname() in announcement.network_names("0.0.0.0")


def test_the_block_says_for_how_long_its_link_is_good() -> None:
    assert tokens.LOGIN_LIFETIME_S == 10 * 60
    assert "within 10 minutes" in compose()


def test_the_farewell_says_how_long_it_may_take() -> None:
    text = announcement.farewell(drain_grace_s=30)
    assert "30 s" in text
    assert "Ctrl-C again" in text
    assert max(map(len, text.splitlines())) <= announcement.WIDTH

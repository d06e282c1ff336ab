"""`mlq up` as its user meets it: an address, parts that come back, and nothing left at the end."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlq.onemachine.ports import find_free_port, is_free
from mlq.onemachine.processes import descendants, die_with_parent
from tests.servers import wait_until

COMMAND = [sys.executable, "-P", "-m", "mlq.cli", "up"]


class Up:
    """One `mlq up` on a home of its own."""

    def __init__(self, home: Path, *arguments: str, port: int | None = None) -> None:
        self.home = home
        self.port = port or find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.block = ""
        self.process = subprocess.Popen(
            [*COMMAND, "--port", str(self.port), *arguments],
            env={**os.environ, "MLQ_HOME": str(home), "MLQ_DRAIN_GRACE_S": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )

    def wait_until_ready(self) -> str:
        """What it printed until the block was complete."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                return "".join(lines)
        pytest.fail(f"mlq up ended: {self.process.communicate()[1]}")

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    @property
    def server(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.home / "server.json").read_text())
        return content

    def processes(self) -> dict[int, str]:
        """pid -> title of everything below it."""
        found = {}
        for pid in descendants(self.process.pid):
            with suppress(OSError):
                title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
                found[pid] = title.replace("\0", " ").strip()
        return found

    def pid_of(self, title: str) -> int | None:
        """The first process whose title has these words."""
        return next((pid for pid, line in self.processes().items() if title in line), None)

    def get(self, path: str, *, token: str | None = None) -> tuple[int, str]:
        """Status and text of a GET request."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def stop(self, number: int = signal.SIGTERM) -> tuple[str, str]:
        """End it; what it printed and said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=150)


def are_gone(pids: list[int]) -> bool:
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            if "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                return False
    return True


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running `mlq up` whose parts these tests may kill."""
    running = Up(tmp_path_factory.mktemp("up") / "home")
    running.block = running.wait_until_ready()
    yield running
    running.stop()


def workers_of(up: Up) -> list[dict[str, Any]]:
    status, text = up.get("/v1/workers", token=up.token)
    assert status == 200, text
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return [item for item in items if item["state"] == "online"]


def test_the_block_fits_a_terminal_and_its_link_logs_in_once(up: Up) -> None:
    link = re.search(r"http://\S+/login\?token=\S+", up.block)

    # wherever the tests' temporary folder lies
    block = up.block.replace(str(up.home), "/home/ada/.mlq")
    assert max(map(len, block.splitlines())) <= 80
    assert link is not None
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    with browser.open(link[0], timeout=60) as answer:
        assert answer.status == 200
    assert len(cookies) == 1
    with browser.open(f"{up.url}/v1/jobs", timeout=60) as answer:
        assert answer.status == 200
    assert up.get(link[0].removeprefix(up.url))[0] in {401, 403}


def test_state_is_for_its_owner_only(up: Up) -> None:
    assert up.home.stat().st_mode & 0o777 == 0o700
    for path in up.home.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def listeners(pid: int) -> list[tuple[str, int]]:
    """(address as /proc writes it, port) of everything that a process listens on."""
    with suppress(OSError):
        own = {handle.readlink().name for handle in Path(f"/proc/{pid}/fd").iterdir()}
        return [
            (fields[1].partition(":")[0], int(fields[1].partition(":")[2], 16))
            for table in ("tcp", "tcp6")
            for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own
        ]
    return []


def test_everything_listens_on_loopback_only(up: Up) -> None:
    wait_until(lambda: listeners(up.pid_of("mlq: flower") or 0), what="Flower listens")

    addresses = {address for pid in up.processes() for address, _ in listeners(pid)}

    assert {socket.inet_ntoa(bytes.fromhex(found)[::-1]) for found in addresses} == {"127.0.0.1"}


def test_no_process_shows_a_secret(up: Up) -> None:
    broker_password = urlsplit(up.server["broker_url"]).password
    assert broker_password

    for line in up.processes().values():
        assert broker_password not in line
        assert up.token not in line


def test_the_admin_token_opens_the_api_and_nothing_else_does(up: Up) -> None:
    assert up.get("/v1/jobs", token=up.token)[0] == 200
    assert up.get("/v1/jobs")[0] == 401
    assert up.get("/v1/jobs", token="mlq_wrong")[0] == 401


def test_flower_is_behind_the_same_login(up: Up) -> None:
    assert up.get("/flower/")[0] in {401, 403}
    wait_until(lambda: up.get("/flower/", token=up.token)[0] == 200, what="Flower answers")

    ((_, port),) = listeners(up.pid_of("mlq: flower") or 0)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/flower/api/workers", timeout=60)

    assert refused.value.code == 401


def test_a_second_one_says_who_holds_the_home(up: Up) -> None:
    second = Up(up.home)
    printed, said = second.process.communicate(timeout=150)

    assert second.process.returncode == 1
    assert printed == ""
    assert f"(pid {up.process.pid}) serves it at {up.url}" in " ".join(said.split())
    assert up.is_ready()


def test_a_busy_port_names_its_owner(up: Up, tmp_path: Path) -> None:
    second = Up(tmp_path / "home", port=up.port)
    _, said = second.process.communicate(timeout=150)

    assert second.process.returncode == 1
    assert re.search(rf"Port {up.port} is taken by mlq: api \(pid \d+\)", " ".join(said.split()))


@pytest.mark.parametrize("part", ["mlq: api", "mlq: serve", "mlq: flower"])
def test_a_killed_part_comes_back(up: Up, part: str) -> None:
    first = up.pid_of(part)
    assert first is not None

    os.kill(first, signal.SIGKILL)

    wait_until(lambda: up.pid_of(part) not in (None, first), what=f"{part} is there again")
    wait_until(up.is_ready, what="it answers again")


def test_a_killed_broker_comes_back_at_the_same_address(up: Up) -> None:
    port = urlsplit(up.server["broker_url"]).port
    first = up.pid_of("valkey-server")
    assert first is not None
    assert port is not None

    os.kill(first, signal.SIGKILL)

    wait_until(lambda: up.pid_of("valkey-server") not in (None, first), what="a new broker")
    wait_until(lambda: not is_free("127.0.0.1", port), what="the broker's port is open again")
    wait_until(up.is_ready, what="it answers again")


def test_a_killed_worker_comes_back_and_leaves_no_child(up: Up) -> None:
    wait_until(lambda: workers_of(up), what="a worker is registered")
    first = up.pid_of("MainProcess")
    assert first is not None
    children = descendants(first)
    assert children

    os.kill(first, signal.SIGKILL)

    wait_until(lambda: are_gone(children), what="its children are gone")
    wait_until(lambda: up.pid_of("MainProcess") not in (None, first), what="a new worker")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_a_trace(tmp_path: Path, number: int) -> None:
    one = Up(tmp_path / "home", "--no-flower")
    one.wait_until_ready()
    pids = list(one.processes())
    broker = urlsplit(one.server["broker_url"]).port
    assert len(pids) >= 4

    _, said = one.stop(number)

    assert one.process.returncode == 0
    assert said.rstrip().endswith("Stopped.")
    assert are_gone(pids)
    assert broker is not None
    assert is_free("127.0.0.1", one.port)
    assert is_free("127.0.0.1", broker)
    assert not (one.home / "server.json").exists()


def test_killed_it_takes_everything_along_and_can_start_again(tmp_path: Path) -> None:
    one = Up(tmp_path / "home", "--no-flower")
    one.wait_until_ready()
    token = one.token
    wait_until(lambda: workers_of(one), what="a worker is registered")
    pids = list(one.processes())

    one.stop(signal.SIGKILL)

    wait_until(lambda: are_gone(pids), what="every process is gone")
    again = Up(tmp_path / "home", "--workers", "0", "--no-flower")
    again.wait_until_ready()
    assert again.token == token
    assert again.get("/v1/jobs", token=token)[0] == 200
    again.stop()

"""The supervisor over real processes: restarts, order of stopping, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mlq.onemachine.processes import descendants
from tests.servers import wait_until

# A driver in a process of its own: the supervisor takes over signals and orphans.
PRELUDE = """
import os, signal, sys, time
from datetime import timedelta
from pathlib import Path
from mlq.onemachine.supervisor import Service, ServiceFailedError, Supervisor

folder = Path(sys.argv[1])

def say(line):
    print(line, flush=True)

def put(name, text):
    (folder / f"{name}.draft").write_text(str(text))
    (folder / f"{name}.draft").rename(folder / name)

def service(name, program, **more):
    return Service(name, [sys.executable, "-c", program], dict(os.environ), **more)

WAIT = "import signal, time\\nwhile True: time.sleep(60)\\n"
# notes its end, so that the order can be read from the file
NOTE = (
    "import signal, sys, time\\n"
    "def end(*_):\\n"
    "    open('ends', 'a').write(NAME + ' ')\\n"
    "    sys.exit(0)\\n"
    "signal.signal(signal.SIGTERM, end)\\n"
    "open(NAME + '.up', 'w').close()\\n"
    "while True: time.sleep(60)\\n"
)
supervisor = Supervisor(folder=folder, logs_folder=folder, report=say)
supervisor.take_over()
"""


class Driver:
    """A supervisor with a test's program around it."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def children(self) -> list[int]:
        return descendants(self.process.pid)

    def wait_for_file(self, name: str) -> str:
        file = self.folder / name
        wait_until(file.exists, what=f"{name} is there")
        return file.read_text()

    def end(self, number: int = signal.SIGTERM) -> str:
        """Send a signal, wait for the end, return what was said."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=120)
        return said


Drive = Callable[[str], Driver]


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[[str], Driver]]:
    drivers: list[Driver] = []

    def start(program: str) -> Driver:
        drivers.append(Driver(tmp_path, program))
        return drivers[-1]

    yield start
    for driver in drivers:
        with suppress(ProcessLookupError):
            driver.process.kill()
        driver.process.communicate()


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_services_stop_in_the_order_of_their_rank(drive: Drive, tmp_path: Path) -> None:
    driver = drive("""
for name, rank in [("broker", 3), ("worker", 1), ("api", 2)]:
    supervisor.start(service(name, f"NAME = {name!r}\\n" + NOTE, stop_rank=rank))
supervisor.run()
supervisor.stop()
""")
    for name in ("broker", "worker", "api"):
        driver.wait_for_file(f"{name}.up")

    driver.end(signal.SIGINT)

    assert driver.process.returncode == 0
    assert (tmp_path / "ends").read_text().split() == ["worker", "api", "broker"]


def test_a_killed_service_is_started_again(drive: Drive) -> None:
    driver = drive("""
supervisor.start(service("api", WAIT))
first = supervisor.pid_of("api")
put("pid", first)
supervisor.wait_for(
    lambda: supervisor.pid_of("api") not in (None, first), timeout=timedelta(seconds=20)
)
put("again", supervisor.pid_of("api"))
supervisor.run()
supervisor.stop()
""")
    first = int(driver.wait_for_file("pid"))

    os.kill(first, signal.SIGKILL)
    second = int(driver.wait_for_file("again"))
    said = driver.end()

    assert second != first
    assert "api was ended by SIGKILL; starting it again." in said
    assert not is_alive(second)


def test_a_service_that_never_stays_up_ends_the_start_with_its_last_lines(drive: Drive) -> None:
    driver = drive("""
import mlq.onemachine.supervisor as module
module._FIRST_PAUSE_S = 0.01
supervisor.start(service("api", "raise SystemExit('port is taken')"))
try:
    supervisor.wait_for(lambda: False, timeout=timedelta(seconds=30))
except ServiceFailedError as error:
    say(f"{error} / {error.tail}")
supervisor.stop()
""")

    said, _ = driver.process.communicate(timeout=120)

    assert (
        said.splitlines()[-1] == "api ended with code 1 / ['port is taken', 'port is taken', "
        "'port is taken', 'port is taken']"
    )


def test_a_crash_loop_is_reported_once_after_everything_was_ready(drive: Drive) -> None:
    driver = drive("""
import mlq.onemachine.supervisor as module
module._FIRST_PAUSE_S = module._LONGEST_PAUSE_S = 0.01
supervisor.start(service("flower", "open('starts', 'a').write('x'); raise SystemExit('broken')"))
supervisor.run()
supervisor.stop()
""")
    wait_until(lambda: len(driver.wait_for_file("starts")) >= 8, what="eight starts")

    said = driver.end()

    assert said.count("in a row. Its last lines:\n    broken") == 1


def test_a_service_that_ignores_the_end_is_killed_after_its_grace(drive: Drive) -> None:
    driver = drive("""
stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
stubborn += "open('stubborn.up', 'w').close()\\n" + WAIT
supervisor.start(service("worker", stubborn, stop_grace=timedelta(seconds=0.2)))
supervisor.run()
supervisor.stop()
""")
    driver.wait_for_file("stubborn.up")
    children = driver.children

    driver.end()

    assert driver.process.returncode == 0
    assert not any(map(is_alive, children))


def test_a_second_signal_hurries(drive: Drive) -> None:
    driver = drive("""
stubborn = "import signal; signal.signal(signal.SIGTERM, lambda *_: open('asked', 'w').close())\\n"
stubborn += "open('stubborn.up', 'w').close()\\n" + WAIT
supervisor.start(service("worker", stubborn, stop_grace=timedelta(hours=1)))
supervisor.run()
supervisor.stop()
""")
    driver.wait_for_file("stubborn.up")
    driver.process.send_signal(signal.SIGINT)
    driver.wait_for_file("asked")

    driver.end(signal.SIGINT)

    assert driver.process.returncode == 0


def test_orphans_of_services_end_too(drive: Drive) -> None:
    driver = drive("""
daemon = (
    "import os, subprocess, sys\\n"
    "p = subprocess.Popen(['sleep', '600'], start_new_session=True)\\n"
    "open('daemon.tmp', 'w').write(str(p.pid)); os.rename('daemon.tmp', 'daemon')\\n"
) + WAIT
supervisor.start(service("worker", daemon))
supervisor.run()
supervisor.stop()
""")
    daemon = int(driver.wait_for_file("daemon"))

    driver.end()

    assert not is_alive(daemon)


def test_services_die_with_a_killed_supervisor(drive: Drive) -> None:
    driver = drive("""
supervisor.start(service("api", "NAME = 'api'\\n" + NOTE))
supervisor.run()
""")
    driver.wait_for_file("api.up")
    children = driver.children
    assert children

    driver.end(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, children)), what="no child is left")


def test_a_module_runs_in_a_copy_of_the_supervisor(drive: Drive, tmp_path: Path) -> None:
    (tmp_path / "greeting.py").write_text(
        "import json, os, pathlib, sys, time\n"
        "open_files = sorted(entry.name for entry in pathlib.Path('/proc/self/fd').iterdir())\n"
        "print(__name__, sys.argv[1:], os.environ.get('GREETING'), 'HOME' in os.environ)\n"
        "print('open:', *open_files[:4])\n"
        "print('shared:', 'mlq.onemachine.supervisor' in sys.modules)\n"
        "print(pathlib.Path('/proc/self/cmdline').read_text().strip('\\0'))\n"
        "sys.exit(4)\n"
    )

    driver = drive("""
sys.path.insert(1, str(folder))
service = Service("greeting", ["greeting", "-c", "2"], {"GREETING": "hi"}, fork=True)
code = supervisor.complete(service)
supervisor.stop()
say(code)
""")
    said, _ = driver.process.communicate(timeout=120)

    assert said.splitlines()[-1] == "4"
    assert (tmp_path / "greeting.log").read_text().splitlines() == [
        "__main__ ['-c', '2'] hi False",
        "open: 0 1 2 3",  # 3 is the listing itself
        "shared: True",
        "mlq: greeting",
    ]


def test_a_module_that_raises_leaves_its_traceback_and_not_the_parents_stack(
    drive: Drive, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('no way')\n")

    driver = drive("""
sys.path.insert(1, str(folder))
try:
    code = supervisor.complete(Service("broken", ["broken"], {}, fork=True))
finally:
    say("once")
supervisor.stop()
say(code)
""")
    said, _ = driver.process.communicate(timeout=120)

    assert said.split() == ["once", "1"]
    assert "RuntimeError: no way" in (tmp_path / "broken.log").read_text()


def test_a_program_that_is_not_there_ends_with_its_name_in_the_log(
    drive: Drive, tmp_path: Path
) -> None:
    driver = drive("""
say(supervisor.complete(Service("none", ["/no/such/program"], {})))
supervisor.stop()
""")
    said, _ = driver.process.communicate(timeout=120)

    assert said.split() == ["1"]
    assert "/no/such/program" in (tmp_path / "none.log").read_text()


def test_a_program_run_to_its_end_gives_its_code(drive: Drive) -> None:
    driver = drive("""
supervisor.start(service("api", WAIT))
say(supervisor.complete(service("prepare", "raise SystemExit(3)")))
supervisor.stop()
""")

    said, _ = driver.process.communicate(timeout=120)

    assert said.splitlines()[-1] == "3"

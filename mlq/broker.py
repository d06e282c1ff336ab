"""The core's only contact with Celery: the app's configuration, publishing, queue depth.

Celery carries, the database decides: no result backend, no late acknowledgement, no ETA, no chord.
Messages name a leaf by its id and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import NotFound
from celery import Celery
from celery.canvas import Signature
from kombu.exceptions import OperationalError

from mlq import crash
from mlq.db.window import Delivery, Link
from mlq.errors import SettingsError, UnavailableError
from mlq.settings import Settings

#: Name of the one task; what Celery and Flower show is the link's shadow name.
STEP_TASK = "mlq.step"

_CONNECTIONS = 4
#: Of the app's whole pool. Flower shares it among ten threads that ask workers; opened on demand.
_POOL_LIMIT = 16
_CONNECTION_WAIT_S = 5
#: RabbitMQ confirms each message; one that is out of memory or disk may never do so.
_CONFIRM_TIMEOUT_S = 10

#: A broker that is away says so at once: whoever publishes has work to go on with, and the
#: reconciler publishes later. (kombu would try again after 2 and 4 s and hold up a worker's slot.)
_FAIL_FAST = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1}

_REDIS_OPTIONS = {
    **_FAIL_FAST,
    "socket_timeout": 10,  # the default waits forever for a frozen server
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "visibility_timeout": 3600,
    # sweep what a dead worker had reserved after 5 s instead of 100
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}


def make_app(settings: Settings) -> Celery:
    """Configure the Celery app that API and workers share."""
    url = settings.broker_url
    scheme = urlsplit(url).scheme
    if not url:
        raise SettingsError(
            "MLQ_BROKER_URL is not set and no `mlq up` runs on this machine.",
            hint="Start `mlq up`, or set it to redis://HOST or amqp://USER:PASSWORD@HOST.",
        )
    redis = scheme in ("redis", "rediss", "redis+socket")
    if not redis and scheme not in ("amqp", "amqps"):
        raise SettingsError(
            f"MLQ_BROKER_URL: '{scheme}' is not supported.",
            hint="Use redis:// (Redis or Valkey), redis+socket:// or amqp:// (RabbitMQ).",
        )
    app = Celery("mlq", broker=url, set_as_current=False)
    app.conf.update(
        task_acks_late=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        accept_content=["json"],
        task_serializer="json",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=redis,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=_POOL_LIMIT,
        broker_pool_acquire_timeout=_CONNECTION_WAIT_S,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=settings.drain_grace_s,
        worker_max_tasks_per_child=None,
        worker_send_task_events=settings.task_events == "on",
        worker_hijack_root_logger=False,
        task_send_sent_event=False,
        task_default_queue=settings.queue("cpu"),
        task_default_exchange_type="direct",
        task_create_missing_queues=True,
        task_publish_retry=False,
        event_queue_ttl=60,
        enable_utc=True,
    )
    if redis:
        options: dict[str, Any] = dict(_REDIS_OPTIONS)
        if scheme == "redis+socket":
            del options["socket_keepalive"]  # a Unix socket knows no TCP option
        app.conf.broker_transport_options = options
    else:
        app.conf.update(
            broker_transport_options={**_FAIL_FAST, "confirm_publish": True},
            broker_heartbeat=30,
            task_default_queue_type="quorum",
            task_create_missing_queue_type="quorum",
        )
    return app


class Broker:
    """Publishes deliveries and reads queue depths. Safe to share between threads."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self._settings = settings
        self._depth_lock = threading.Lock()
        # kombu's pool of producers waits for a connection without end once all are in use
        self._free_connections = threading.BoundedSemaphore(_CONNECTIONS)

    @classmethod
    def open(cls, settings: Settings) -> Broker:
        """The broker of `settings`. Connects at the first use."""
        return cls(make_app(settings), settings)

    def publish(self, deliveries: Iterable[Delivery]) -> None:
        """Send one message per delivery; the rest of its run follows as a Celery chain.

        Raises UnavailableError when the broker takes no (further) message: what is not published
        stays marked as dispatched in the database, and the reconciler publishes it later.
        """
        deliveries = list(deliveries)
        if not deliveries:
            return
        try:
            with self._connection(), self.app.producer_pool.acquire(block=True) as producer:
                for delivery in deliveries:
                    crash.reach("message.before_publish")
                    self._send(delivery, producer)
                    crash.reach("message.after_publish")
        except (OperationalError, ConnectionError, TimeoutError) as error:
            raise UnavailableError(
                f"The broker takes no messages: {error}",
                code="broker_unavailable",
                hint="Accepted jobs wait in the database and start once it is back.",
            ) from error

    def depth(self, compute: str) -> int:
        """Messages of `compute` that wait in the broker, all priorities together.

        Raises UnavailableError when the broker does not answer.
        """
        with self._depth_lock:
            try:
                with (
                    self.app.connection_for_read(connect_timeout=3) as connection,
                    connection.channel() as channel,
                ):
                    declared = channel.queue_declare(
                        queue=self._settings.queue(compute), passive=True
                    )
            except NotFound:
                return 0  # an empty queue does not exist in Redis
            except Exception as error:
                if _is_not_found(error):
                    return 0
                raise UnavailableError(
                    f"The broker does not answer: {error}", code="broker_unavailable"
                ) from error
            return int(declared.message_count)

    def check(self) -> None:
        """Connect once. Raises UnavailableError when that fails."""
        try:
            with self.app.connection_for_write(connect_timeout=3) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        except Exception as error:
            raise UnavailableError(
                f"The broker does not answer: {error}",
                code="broker_unavailable",
                hint="Check that it runs, and MLQ_BROKER_URL.",
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self.app.close()

    @contextmanager
    def _connection(self) -> Iterator[None]:
        if not self._free_connections.acquire(timeout=_CONNECTION_WAIT_S):
            raise TimeoutError(f"all {_CONNECTIONS} connections have been busy for too long")
        try:
            yield
        finally:
            self._free_connections.release()

    def _send(self, delivery: Delivery, producer: Any) -> None:
        first, *rest = delivery.links
        # `chain` is what celery.chain hands to its first task: the other links, the next one last.
        self.app.send_task(
            STEP_TASK,
            args=(first.id,),
            chain=[self._signature(link) for link in reversed(rest)] or None,
            queue=self._settings.queue(first.compute),
            shadow=first.shadow,
            ignore_result=True,
            producer=producer,
            retry=False,
            confirm_timeout=_CONFIRM_TIMEOUT_S,
        )

    def _signature(self, link: Link) -> Signature:
        return Signature(
            STEP_TASK,
            args=(link.id,),
            immutable=True,
            options={
                "queue": self._settings.queue(link.compute),
                "shadow": link.shadow,
                "ignore_result": True,
            },
            app=self.app,
        )


def _is_not_found(error: Exception) -> bool:
    return getattr(error, "reply_code", None) == 404 or "NOT_FOUND" in str(error)

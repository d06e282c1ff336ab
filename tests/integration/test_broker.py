"""Publishing and depths on every kind of broker there is."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from mlq.broker import STEP_TASK, Broker
from mlq.db.window import Delivery, Link
from mlq.errors import SettingsError, UnavailableError
from mlq.onemachine import ports
from mlq.settings import Settings, load_settings
from tests.servers import Broker as Server
from tests.servers import Valkey, wait_until


def settings(url: str, **more: Any) -> Settings:
    return load_settings(broker_url=url, **more)


@pytest.fixture
def opened(broker: Server) -> Iterator[Broker]:
    mlq = Broker.open(settings(broker.url))
    yield mlq
    mlq.close()


def deliver(*links: str) -> Delivery:
    """Links as "name" on cpu or "name@compute"."""
    parts = [link.partition("@") for link in links]
    return Delivery(tuple(Link(f"{n:0>32}", c or "cpu", f"churn.{n}") for n, _, c in parts))


def take(url: str, queue: str) -> Any:
    """The oldest message of `queue`, taken out."""
    with Connection(url) as conn:
        simple = conn.SimpleQueue(queue, queue_opts={"no_declare": True})
        message = simple.get(block=True, timeout=60)
        message.ack()
        simple.close()
    return message


def test_a_delivery_is_one_message_that_names_ids_only(opened: Broker, broker: Server) -> None:
    opened.publish([deliver("a", "b@gpu", "c")])

    assert opened.depth("cpu") == 1
    assert opened.depth("gpu") == 0
    message = take(broker.url, "cpu")
    args, kwargs, embedded = message.payload
    assert message.headers["task"] == STEP_TASK
    assert message.headers["shadow"] == "churn.a"
    assert (args, kwargs) == ([f"{'a':0>32}"], {})
    following = embedded["chain"]
    # the next link stands last
    assert [link["args"] for link in following] == [[f"{'c':0>32}"], [f"{'b':0>32}"]]
    assert [link["options"]["queue"] for link in following] == ["cpu", "gpu"]
    assert [link["options"]["shadow"] for link in following] == ["churn.c", "churn.b"]
    assert all(link["immutable"] for link in following)
    assert len(json.dumps(message.payload)) < 2000


def test_depths_count_what_waits(opened: Broker, broker: Server) -> None:
    assert opened.depth("cpu") == 0
    opened.publish([])
    opened.publish([deliver(str(number)) for number in range(5)] + [deliver("g@gpu")])
    wait_until(lambda: opened.depth("cpu") == 5)
    assert opened.depth("gpu") == 1

    broker.flush()

    wait_until(lambda: opened.depth("cpu") == 0)
    opened.publish([deliver("again")])
    wait_until(lambda: opened.depth("cpu") == 1)


def test_a_prefix_keeps_installations_apart(broker: Server) -> None:
    ours = Broker.open(settings(broker.url, queue_prefix="ours-"))
    theirs = Broker.open(settings(broker.url))
    ours.publish([deliver("a", "b")])
    wait_until(lambda: ours.depth("cpu") == 1)
    assert theirs.depth("cpu") == 0
    _, _, embedded = take(broker.url, "ours-cpu").payload
    assert embedded["chain"][0]["options"]["queue"] == "ours-cpu"
    ours.close()
    theirs.close()


def test_a_worker_gets_the_chain_in_order(opened: Broker, broker: Server) -> None:
    """Celery itself carries it on: what one link returns does not reach the next."""
    from celery.contrib.testing.worker import start_worker

    seen: list[str] = []

    # shared: Celery would register it with every later app too, in place of that app's own
    @opened.app.task(name=STEP_TASK, shared=False)
    def step(job_id: str) -> str:
        seen.append(job_id.lstrip("0"))
        return "not an argument"

    with start_worker(
        opened.app,
        pool="solo",
        queues=["cpu", "gpu"],
        perform_ping_check=False,
        loglevel="ERROR",
        # one that is given up leaves the word behind that the next one of this process stops at
        shutdown_timeout=120,
    ):
        opened.publish([deliver("a", "b@gpu", "c")])
        wait_until(lambda: len(seen) == 3)
    assert seen == ["a", "b", "c"]


def test_a_broker_that_is_not_there_is_said_soon() -> None:
    opened = Broker.open(settings(f"redis://127.0.0.1:{ports.find_free_port()}/0"))
    for attempt in (
        lambda: opened.publish([deliver("a")]),
        lambda: opened.depth("cpu"),
        opened.check,
    ):
        started = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            attempt()
        assert caught.value.code == "broker_unavailable"
        assert time.monotonic() - started < 20, "it waited for a server that does not answer"
    opened.close()


def test_a_rabbitmq_that_is_not_there_is_said_too() -> None:
    opened = Broker.open(settings(f"amqp://u:p@127.0.0.1:{ports.find_free_port()}//"))
    with pytest.raises(UnavailableError) as caught:
        opened.publish([deliver("a")])
    assert caught.value.code == "broker_unavailable"
    opened.close()


def test_a_broker_that_comes_back_is_used_again(valkey_server: Valkey) -> None:
    opened = Broker.open(settings(valkey_server.url))
    opened.check()
    opened.publish([deliver("a")])
    valkey_server.kill()
    with pytest.raises(UnavailableError):
        opened.publish([deliver("b")])
    valkey_server.start()

    opened.publish([deliver("c")])

    assert opened.depth("cpu") == 1
    opened.close()


def test_a_submit_does_not_wait_for_others_without_end(
    valkey_server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen broker holds every connection."""
    monkeypatch.setattr("mlq.broker._CONNECTION_WAIT_S", 0.2)
    opened = Broker.open(settings(valkey_server.url))
    os.kill(valkey_server.pid, signal.SIGSTOP)
    frozen = [threading.Thread(target=_publish, args=[opened]) for _ in range(4)]
    for thread in frozen:
        thread.start()
    wait_until(lambda: opened._free_connections._value == 0)

    with pytest.raises(UnavailableError, match="connections have been busy"):
        opened.publish([deliver("a")])

    os.kill(valkey_server.pid, signal.SIGCONT)
    for thread in frozen:
        thread.join(20)
    opened.publish([deliver("a")])
    wait_until(lambda: opened.depth("cpu") == 5)
    opened.close()


def _publish(opened: Broker) -> None:
    opened.publish([deliver("frozen")])


@pytest.mark.parametrize("url", ["", "sqs://x", "memory://", "http://x"])
def test_other_brokers_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="MLQ_BROKER_URL"):
        Broker.open(settings(url))


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://h", "redis+socket:///run/x", "amqp://h", "amqps://h"]
)
def test_what_the_protocol_rests_on_is_configured(url: str) -> None:
    conf = Broker.open(settings(url)).app.conf
    assert conf.task_acks_late is False
    assert conf.result_backend is None
    assert conf.task_ignore_result
    assert conf.accept_content == ["json"]
    assert conf.task_default_exchange_type == "direct"
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_disable_prefetch is url.startswith("redis")
    if url.startswith("amqp"):
        # both, or `cpu` and `gpu` would be classic queues
        assert conf.task_default_queue_type == "quorum"
        assert conf.task_create_missing_queue_type == "quorum"
        assert conf.broker_transport_options["confirm_publish"]

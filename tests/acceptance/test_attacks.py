"""Attacks on running parts: forged messages on the broker, and what the parts let out."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from kombu import Connection, Exchange, Queue

from mlq.broker import STEP_TASK
from mlq.ids import new_id
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Stack, wait_for
from tests.servers import Valkey


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    """On a broker and a database that have passwords."""
    with open_stack("postgresql") as stack:
        stack.start_api()
        stack.worker(slots=1)
        yield stack
        stack.assert_sound()


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))


def forge(stack: Stack, body: bytes, **headers: Any) -> None:
    """Put a message onto the queue of `cpu`, as somebody does who reaches the broker."""
    name = stack.settings.queue("cpu")
    options = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        **{key: headers.pop(key) for key in ("content_type", "content_encoding") if key in headers},
    }
    with Connection(stack.settings.broker_url) as connection:
        queue = Queue(name, Exchange(name, type="direct"), routing_key=name)
        producer = connection.Producer()
        producer.publish(
            body,
            exchange=queue.exchange,
            routing_key=name,
            declare=[queue],
            headers=headers,
            **options,
        )


def task(name: str, *args: Any, **kwargs: Any) -> tuple[bytes, dict[str, Any]]:
    """Body and headers of a message as Celery writes it."""
    body = json.dumps([args, kwargs, {"callbacks": None, "chain": None}]).encode()
    return body, {"lang": "py", "task": name, "id": new_id(), "argsrepr": "()", "kwargsrepr": "{}"}


def test_forged_messages_run_nothing_and_stop_nobody(stack: Stack, tmp_path: Path) -> None:
    evil = pickle.dumps(Evil(tmp_path / "pwned"))
    done = stack.submit({"type": "command", "command": "true", "display_name": "done"})
    ended = dict(stack.wait(done))
    forge(stack, evil, content_type="application/x-python-serialize", content_encoding="binary")
    _, headers = task(STEP_TASK)
    forge(
        stack,
        evil,
        content_type="application/x-python-serialize",
        content_encoding="binary",
        **headers,
    )
    forge(
        stack, b"!!python/object/apply:os.system [touch pwned]", content_type="application/x-yaml"
    )
    for name, args, kwargs in (
        ("os.system", [f"touch {tmp_path}/pwned"], {}),
        ("celery.backend_cleanup", [], {}),
        (STEP_TASK, [], {}),
        (STEP_TASK, [done], {}),  # replayed: it has its outcome
        (STEP_TASK, [new_id()], {}),
        (STEP_TASK, ["' OR 1=1 --"], {}),
        (STEP_TASK, [{"$ne": None}], {}),
        (STEP_TASK, [done, 2**63], {"attempt": 2**63}),
        (STEP_TASK, [None], {"job_id": done}),
    ):
        body, headers = task(name, *args, **kwargs)
        forge(stack, body, **headers)
    forge(stack, b"\x00\xff not JSON", **task(STEP_TASK)[1])

    after = stack.submit({"type": "command", "command": "true", "display_name": "after"})
    stack.wait(after)
    assert list(tmp_path.iterdir()) == []
    assert {**stack.job(done), "now": ended["now"]} == ended
    worker = next(part for part in stack.parts if part.name.startswith("worker"))
    assert worker.is_running


def test_another_tree_is_reached_by_no_message(stack: Stack) -> None:
    """A chain that names another tree's waiting step finds that it is not due."""
    document = {
        "type": "pipeline",
        "display_name": "waits",
        "jobs": {
            "first": {"type": "command", "command": "sleep 600", "compute": "gpu"},
            "second": {
                "type": "command",
                "command": "true",
                "inputs": {"after": "${{parent.jobs.first.outputs.out}}"},
            },
        },
    }
    document["jobs"]["first"]["outputs"] = {"out": {"type": "uri_file"}}  # type: ignore[index]
    victim = stack.submit(document)
    second = stack.tree(victim)["second"]["id"]
    body, headers = task(STEP_TASK, second)
    forge(stack, body, **headers)
    stack.wait(stack.submit({"type": "command", "command": "true", "display_name": "after"}))
    assert {path: row["state"] for path, row in stack.tree(victim).items()} == {
        "": "running",
        "first": "queued",
        "second": "pending",
    }
    stack.cancel(victim)


def secrets_of(stack: Stack) -> dict[str, str]:
    assert stack.api is not None
    found = {"token": stack.api.headers["authorization"].partition(" ")[2]}
    for name, url in (
        ("broker", stack.settings.broker_url),
        ("database", stack.settings.database_url),
    ):
        password = urlsplit(url).password
        if password and password != urlsplit(url).username:  # that may stand anywhere
            found[name] = password
    return found


def test_nothing_that_the_parts_let_out_has_a_secret(stack: Stack) -> None:
    secrets = secrets_of(stack)
    assert set(secrets) >= {"token", "broker"}
    api = stack.api
    assert api is not None
    server = stack.broker_server
    assert isinstance(server, Valkey)
    failing = stack.submit(
        {"type": "command", "command": "env; cat /proc/$PPID/environ; exit 3", "display_name": "f"}
    )
    stack.wait(failing, "failed")
    said = {"a failed job": json.dumps(api.get(f"/v1/jobs/{failing}").json())}
    said["its log"] = api.get(f"/v1/jobs/{failing}/logs").text
    server.kill()  # what connects now says what it could not reach
    try:
        for path in ("/metrics", "/readyz", "/healthz", "/v1/doctor", "/v1/audit", "/v1/workers"):
            said[path] = api.get(path, timeout=60).text
        broken = httpx.get(f"{api.base_url}/v1/jobs", headers={"authorization": "Bearer wrong"})
        said["a refusal"] = broken.text
        said["bad input"] = api.post("/v1/jobs", content=b"{").text
        job = stack.submit({"type": "command", "command": "true", "display_name": "waits"})
        worker = next(part for part in stack.parts if part.name.startswith("worker"))
        wait_for(
            lambda: "onnect" in worker.log.read_text().lower(), what="the worker misses its broker"
        )
    finally:
        server.start()
    stack.wait(job)
    for part in stack.parts:
        said[part.log.name] = part.log.read_text(errors="replace")
        for process in part.family():
            said[f"command line of {part.name}, {process.pid}"] = " ".join(process.cmdline())
    for where, text in said.items():
        for name, secret in secrets.items():
            for form in (secret, base64.b64encode(secret.encode()).decode()):
                assert form not in text, f"{where} shows the password or token of the {name}"
    assert len([where for where in said if where.startswith("command line")]) >= 4
    assert psutil.pid_exists(worker.pid)

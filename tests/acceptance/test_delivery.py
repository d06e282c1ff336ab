"""From a registered model to production and back, on real processes, while a client goes on asking.

The worker that leads drives the rollouts, one replica answers; both are killed on the way.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlq.db import events
from mlq.db.events import Cursor
from mlq.models.package import write_package
from mlq.onemachine.ports import find_free_port
from mlq.service import endpoints, models, rollouts, tokens
from mlq.spec.rollout import read_policy
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Part, Stack
from tests.packages import COLUMNS, LABELS, ROWS
from tests.servers import wait_until

#: A plan that no training row had: what only happens online.
ASKED = [{"months": 5, "plan": "gold"}]
#: Fifty in `make test-all`.
FLIPS = 50 if os.environ.get("MLQ_TEST_ALL") else 6
POLICY: dict[str, Any] = {
    "canary": [{"percent": 30, "bake_s": 2}],
    "abort": {"error_rate": 0.05, "min_requests": 20},
}


class Client:
    """Asks a hundred times a second, and remembers every answer that was no success."""

    def __init__(self, url: str, token: str, *, rows: Sequence[Mapping[str, Any]] = ASKED) -> None:
        self.rows = list(rows)
        self.headers = {"authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=self.headers, timeout=60)
        self.failures: list[str] = []
        self.asked = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()
        self.http.close()

    def _ask(self) -> None:
        with httpx.Client(
            base_url=str(self.http.base_url), headers=self.headers, timeout=60
        ) as http:
            due = time.monotonic()
            while not self._is_over.is_set():
                due = max(due + 0.01, time.monotonic() - 1)
                self.asked += 1
                try:
                    answer = http.post(
                        "/endpoints/shop/score", json={"rows": self.rows}, timeout=60
                    )
                    if not answer.is_success:
                        self.failures.append(answer.text)
                except httpx.TransportError as error:
                    self.failures.append(repr(error))
                time.sleep(max(0.0, due - time.monotonic()))

    def model(self) -> str:
        """The version that answers now."""
        answer = self.http.post("/endpoints/shop/score", json={"rows": self.rows})
        return str(answer.json().get("model", ""))


def _encoded(unknown: str) -> ColumnTransformer:
    return ColumnTransformer(
        [("plan", OneHotEncoder(handle_unknown=unknown), ["plan"])], remainder="passthrough"
    )


def register(stack: Stack, folder: Path, pipeline: Any) -> int:
    """Register a pipeline as the next version of `churn`."""
    write_package(
        folder,
        pipeline.fit(ROWS, LABELS),
        columns=COLUMNS,
        rows=ROWS,
        task="classification",
        target="leaves",
        metadata={},
    )
    tree = stack.store.put_tree(folder)
    return stack.write(
        models.register, name="churn", digest=tree.digest, size_bytes=tree.size_bytes, actor="ann"
    ).version


@pytest.fixture(scope="module")
def delivery(open_stack: OpenStack) -> Iterator[Stack]:
    """A stack that leads; endpoint `shop` follows churn@production, on version 1."""
    with open_stack() as stack:
        yield stack


@contextmanager
def serving(stack: Stack) -> Iterator[Client]:
    """A replica, and the client that asks it."""
    port = find_free_port()
    stack._start("serve", ["mlq_api.serving", "--port", str(port), "--host", "127.0.0.1"])
    token = stack.write(tokens.create, name="app", role="viewer", actor="test").token
    client = Client(f"http://127.0.0.1:{port}", token)

    def is_ready() -> bool:
        try:
            return client.model() != ""
        except httpx.TransportError:
            return False

    wait_until(is_ready, timeout_s=150)
    with client:
        yield client


def roll_out(
    stack: Stack,
    version: int,
    *,
    meanwhile: Callable[[], object] = lambda: None,
    mirror_s: float = 1,
    **limits: float,
) -> Any:
    """Roll a version out and return how that ended. mirror_s: how long it gets copies only."""
    started = stack.write(
        rollouts.start,
        model=f"models:/churn/{version}",
        endpoint="shop",
        policy=read_policy(
            {
                **POLICY,
                "mirror": {"percent": 100, "bake_s": mirror_s},
                "abort": {**POLICY["abort"], **limits},
            }
        ),
        actor="ann",
    )
    assert started is not None
    meanwhile()

    def ended() -> Any:
        newest = stack.read(rollouts.list_rollouts, "shop", limit=1)[0]
        return newest if newest.ended_at is not None else None

    wait_until(ended, timeout_s=150)
    return ended()


def production(stack: Stack) -> int | None:
    return stack.read(models.find, "churn").aliases.get("production")


def restart(stack: Stack, worker: Part) -> None:
    """Kill the worker that leads, as a crash does, and start another."""
    worker.kill()
    stack.worker(slots=1)


@pytest.mark.timeout(300)
def test_the_story_of_a_delivery(delivery: Stack, tmp_path: Path) -> None:
    stack = delivery
    worker = stack.worker(slots=1)
    constant = {"strategy": "most_frequent"}
    first = register(stack, tmp_path / "1", make_pipeline(_encoded("ignore"), DummyClassifier()))
    stack.write(
        endpoints.deploy, model=f"models:/churn/{first}", endpoint="shop", alias="production",
        actor="ann",
    )  # fmt: skip
    with serving(stack) as client:
        # better: canary to full, though the leader dies on the way
        good = register(
            stack, tmp_path / "2", make_pipeline(_encoded("ignore"), DummyClassifier(**constant))
        )
        ended = roll_out(stack, good, meanwhile=lambda: restart(stack, worker))
        assert (ended.phase, ended.reason) == ("succeeded", "")
        assert production(stack) == good
        wait_until(lambda: client.model() == f"models:/churn/{good}")
        assert client.failures == []

        # fine offline, slow online
        forest = RandomForestClassifier(200, random_state=0)
        slow = register(stack, tmp_path / "3", make_pipeline(_encoded("ignore"), forest))
        ended = roll_out(stack, slow, mirror_s=60, p95_ratio=2.5)
        assert ended.phase == "rolled_back"
        assert "times the" in ended.reason
        assert production(stack) == good
        assert client.failures == []

        # a manual rollback, and its undo
        moved = stack.write(models.rollback, name="churn", actor="ann", reason="second thoughts")
        assert (moved.version, moved.endpoints) == (first, (("shop", "production"),))
        wait_until(lambda: client.model() == f"models:/churn/{first}")
        assert stack.write(models.undo_rollback, name="churn", actor="ann").version == good
        wait_until(lambda: client.model() == f"models:/churn/{good}")

        # there and back
        stack.write(
            endpoints.put_deployment, endpoint="shop", name="old", model=f"models:/churn/{first}",
            actor="ann",
        )  # fmt: skip
        for flip in range(FLIPS):
            traffic = {("old", "production")[flip % 2]: 100}
            stack.write(endpoints.set_traffic, name="shop", traffic=traffic, actor="ann")
            version = (first, good)[flip % 2]
            wait_until(lambda version=version: client.model() == f"models:/churn/{version}")
        assert client.failures == []
        asked = client.asked

        # fine offline, failing online: in its first stage it only gets copies, so nobody notices
        failing = register(
            stack, tmp_path / "4", make_pipeline(_encoded("error"), DummyClassifier())
        )
        # (long enough for twenty of them on a busy machine; it ends with the twentieth)
        ended = roll_out(stack, failing, mirror_s=60)
        assert ended.phase == "rolled_back"
        assert "requests failed" in ended.reason
        assert production(stack) == good
        assert client.failures == []
        assert client.asked > asked > 500
    history = stack.read(events.read_after, Cursor(), kinds=["rollout"])
    ends = [one.kind for one in history if one.kind != "rollout.advance"]
    assert ends == [
        *["rollout.start", "rollout.succeed"],
        *["rollout.start", "rollout.roll_back"],
        *["rollout.start", "rollout.roll_back"],
    ]
    stack.assert_sound()

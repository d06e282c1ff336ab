"""The whole story of a model on real processes, over HTTP, while a client asks all the time.

Data, pipeline, staging, production; worse data and better data; candidates that are slow or fail
online; a rollback and its undo; drift and the training that it starts; and all of it in the audit
log. Numbers say which of two is better, never how fast this machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlq.models.package import write_package
from mlq.onemachine.ports import find_free_port
from mlq.service import models, tokens
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, Stack, wait_for
from tests.acceptance.test_delivery import Client

PIPELINE = (JOBS / "delivery.yml").read_text()
#: No training row has this plan: what only happens online.
ASKED = [{"months": 5, "calls": 3, "plan": "gold"}]
#: Long: a machine may be ten times slower than the one that this was written on.
PATIENCE_S = 900.0
#: Stages of candidates that must not get through. They end long before.
LONG_S = 1800
COLUMNS = [
    {"name": "months", "kind": "number", "required": True},
    {"name": "calls", "kind": "number", "required": True},
    {"name": "plan", "kind": "category", "required": True},
]


def make_rows(
    count: int, leaves: Callable[[pd.DataFrame], Any], *, calls: int, plans: tuple[str, ...]
) -> pd.DataFrame:
    """Rows of customers. calls: fewer than so many. leaves: who does."""
    random = np.random.default_rng(count)
    rows = pd.DataFrame(
        {
            "months": random.integers(0, 60, count),
            "calls": random.integers(0, calls, count),
            "plan": random.choice(plans, count),
        }
    )
    rows["leaves"] = np.where(leaves(rows), "yes", "no")
    return rows


PLANS = ("basic", "plus")
FIRST = make_rows(400, lambda rows: rows["months"] < 30, calls=1, plans=PLANS)
#: Who leaves has nothing to do with the rest.
WORSE = make_rows(
    420, lambda rows: np.random.default_rng(1).random(len(rows)) < 0.5, calls=1, plans=PLANS
)
#: Calls matter, which the first rows could not tell.
BETTER = make_rows(800, lambda rows: rows["calls"] > rows["months"] / 2, calls=30, plans=PLANS)
#: As it has become: the new plan is there.
DRIFTED = make_rows(
    820, lambda rows: rows["calls"] > rows["months"] / 2, calls=30, plans=(*PLANS, "gold")
)


class Story:
    """A stack with API, worker and model server, and what a person would do with it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        port, api_port = find_free_port(), find_free_port()
        token = stack.write(tokens.create, name="ann", role="admin", actor="test").token
        stack.api = httpx.Client(
            base_url=f"http://127.0.0.1:{api_port}",
            headers={"authorization": f"Bearer {token}"},
            timeout=300,
        )
        serve_url = f"http://127.0.0.1:{port}"
        stack.start_api(serve_url=serve_url)
        stack.worker(slots=2, api_url=str(stack.api.base_url))
        stack._start(
            "serve",
            ["mlq_api.serving", "--port", str(port), "--host", "127.0.0.1"],
            drift_s=1,
        )
        asking = stack.write(tokens.create, name="app", role="viewer", actor="test").token
        self.client = Client(serve_url, asking, rows=ASKED)
        wait_for(self._serves, PATIENCE_S, what="the model server is up")

    def _serves(self) -> bool:
        try:
            return self.client.http.get("/v2/health/ready").is_success
        except httpx.TransportError:
            return False

    def upload(self, name: str, rows: pd.DataFrame) -> None:
        """A further version of data."""
        content = rows.to_csv(index=False).encode()
        self.stack.upload(name, content, file_name=f"{name}.csv")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the API answers."""
        assert self.stack.api is not None
        answer = self.stack.api.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def run(self, state: str = "succeeded") -> str:
        """Run the pipeline on the newest data until it ends as `state`."""
        job = self.stack.submit(PIPELINE)
        self.stack.wait(job, state, timeout_s=PATIENCE_S)
        return job

    def production(self) -> int | None:
        """The version in production."""
        found = self.call("GET", "/v1/models/churn")["aliases"]
        version: int | None = found.get("production")
        return version

    def wait_answers(self, version: int | None) -> None:
        """Wait until clients are answered by a version."""
        wanted = f"models:/churn/{version}"
        wait_for(lambda: self.client.model() == wanted, PATIENCE_S, what=f"{wanted} answers")

    def wait_until_gone(self, deployment: str) -> None:
        """Wait until a deployment is gone, and what it was asked before is answered."""

        def is_gone() -> bool:
            asked = {"rows": ASKED}
            headers = {"mlq-deployment": deployment}
            answer = self.client.http.post("/endpoints/shop/score", json=asked, headers=headers)
            return answer.status_code == 404

        wait_for(is_gone, PATIENCE_S, what=f"{deployment} is gone")
        asked = self.client.asked
        wait_for(lambda: self.client.asked > asked + 1, PATIENCE_S, what="the client goes on")

    def rollout(self) -> Any:
        """The newest rollout of the endpoint, once it has ended."""

        def ended() -> Any:
            newest = self.call("GET", "/v1/endpoints/shop/rollouts?limit=1")["items"][0]
            return newest if newest["ended_at"] is not None else None

        return wait_for(ended, PATIENCE_S, what="the rollout has ended")

    def roll_out(self, folder: Path, estimator: Any, **policy: Any) -> Any:
        """Register a model that looks fine offline, roll it out, and return how that ended."""
        encoded = ColumnTransformer(
            [("plan", OneHotEncoder(handle_unknown=policy.pop("unknown")), ["plan"])],
            remainder="passthrough",
        )
        features = FIRST.drop(columns="leaves")
        write_package(
            folder,
            make_pipeline(encoded, estimator).fit(features, FIRST["leaves"]),
            columns=COLUMNS,
            rows=features,
            task="classification",
            target="leaves",
            metadata={},
        )
        tree = self.stack.store.put_tree(folder)
        uri = self.stack.write(
            models.register,
            name="churn",
            digest=tree.digest,
            size_bytes=tree.size_bytes,
            actor="ann",
        ).uri
        self.call("POST", "/v1/endpoints/shop/rollouts", {"model": uri, "policy": policy})
        return self.rollout()


@pytest.mark.timeout(5400)
def test_the_whole_story(open_stack: OpenStack, tmp_path: Path) -> None:
    with open_stack() as stack:
        story = Story(stack)
        client = story.client

        # the first data: staging, and production beside it, which then gets the requests
        story.upload("churn", FIRST)
        first_job = story.run()
        assert stack.tree(first_job)["staging_test"]["state"] == "succeeded"
        first = story.production()
        assert first == 1
        story.call("PATCH", "/v1/endpoints/shop", {"traffic": {"production": 100}})
        story.wait_answers(first)

        with client:
            # worse data: the gate says no, and nothing of it is registered
            story.upload("churn", WORSE)
            rejected = stack.tree(story.run("failed"))
            assert rejected["validate"]["reason"] == "rejected"
            assert rejected["register"]["state"] == "skipped"
            assert story.production() == first

            # better data: staging, a canary, then all
            story.upload("churn", BETTER)
            story.run()
            ended = story.rollout()
            assert (ended["phase"], ended["reason"]) == ("succeeded", "")
            second = story.production()
            assert second == 2
            story.wait_answers(second)
            assert client.failures == []

            # fine offline, slow online: gone before its first stage is over
            ended = story.roll_out(
                tmp_path / "slow",
                RandomForestClassifier(400, random_state=0),
                unknown="ignore",
                mirror={"percent": 100, "bake_s": LONG_S},
                canary=[{"percent": 50, "bake_s": LONG_S}],
                abort={"p95_ms": 1, "min_requests": 20},
            )
            assert (ended["phase"], ended["stage"]) == ("rolled_back", 0)
            assert "ms" in ended["reason"]
            assert client.failures == []

            # fine offline, failing online: what fails is what it was asked, and it is taken back
            ended = story.roll_out(
                tmp_path / "failing",
                DummyClassifier(),
                unknown="error",
                canary=[{"percent": 30, "bake_s": LONG_S}],
                abort={"error_rate": 0.05, "min_requests": 20},
            )
            assert (ended["phase"], ended["stage"]) == ("rolled_back", 0)
            assert "requests failed" in ended["reason"]
            assert story.production() == second
            story.wait_until_gone("production-candidate")
            by_candidate = client.failures.copy()
            assert by_candidate
            assert all("The model cannot take these rows" in one for one in by_candidate)

            # a person goes back, and changes their mind
            moved = story.call("POST", "/v1/models/churn/rollback", {"reason": "second thoughts"})
            assert moved["version"] == first
            story.wait_answers(first)
            story.call("POST", "/v1/models/churn/rollback/undo", {"reason": "it was right"})
            story.wait_answers(second)

            # what people ask has changed: that is noticed, and the pipeline runs on newer data
            story.upload("churn", DRIFTED)
            story.call(
                "PUT",
                "/v1/schedules/again",
                {
                    "name": "again",
                    "trigger": {"type": "drift", "endpoint": "shop"},
                    "create_job": yaml.safe_load(PIPELINE),
                },
            )
            story.call(
                "PUT",
                "/v1/endpoints/shop/deployments/production",
                {
                    "model": "models:/churn@production",
                    "settings": {"sampling_rate": 1.0, "drift": {"min_rows": 100}},
                },
            )

            def retrained() -> Any:
                fired = story.call("GET", "/v1/schedules/again/firings")["items"]
                return next((one["job_id"] for one in fired if one["job_id"]), None)

            job = wait_for(retrained, PATIENCE_S, what="drift has started the pipeline")
            stack.wait(job, timeout_s=PATIENCE_S)
            ended = story.rollout()
            assert (ended["phase"], ended["job_id"] is not None) == ("succeeded", True)
            story.wait_answers(story.production())
            assert story.production() not in (first, second)
            assert client.failures == by_candidate
            assert client.asked > 1000

        _assert_audited(story)
        stack.assert_sound()


def _assert_audited(story: Story) -> None:
    """Each step is in the audit log, in its order, with who did it."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = f"?limit=200{f'&cursor={cursor}' if cursor else ''}"
        page = story.call("GET", f"/v1/audit{query}")
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    told = [one["kind"] for one in reversed(found)]
    expected = [
        *["model.register", "endpoint.deploy", "model.register", "rollout.start"],
        *["rollout.advance", "rollout.succeed", "model.register", "rollout.start"],
        *["rollout.roll_back", "model.register", "rollout.start", "rollout.roll_back"],
        *["model.rollback", "model.promote", "schedule.create", "endpoint.drift"],
        *["schedule.fire", "model.register", "rollout.start", "rollout.succeed"],
    ]
    place = 0
    for kind in expected:
        assert kind in told[place:], f"no {kind} after {told[:place]}, then: {told[place:]}"
        place = told.index(kind, place) + 1
    assert {one["kind"] for one in found if not one["actor"]}.isdisjoint(expected)
    by_hand = next(one for one in found if one["kind"] == "model.rollback")
    assert (by_hand["actor"], by_hand["subject"]) == ("ann", "models:/churn")
    assert by_hand["detail"]["reason"] == "second thoughts"

"""Schedules over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import Api

COMMAND = {"type": "command", "command": "echo ${{creation_context.trigger_time}}"}
CRON = {"type": "cron", "expression": "0 2 * * *", "time_zone": "W. Europe Standard Time"}


def put(client: httpx.Client, name: str = "nightly", **more: Any) -> httpx.Response:
    document = {"name": name, "trigger": CRON, "create_job": COMMAND, **more}
    return client.put(f"/v1/schedules/{name}", json=document)


def test_a_schedule_is_made_changed_switched_fired_and_removed(client: httpx.Client) -> None:
    made = put(client, overlap="skip")
    assert made.status_code == 201
    assert made.json()["next_at"].endswith((":00:00Z",))
    assert "secret" not in made.json()
    assert put(client, description="again").status_code == 200

    off = client.post("/v1/schedules/nightly/disable").json()
    assert (off["is_enabled"], off["next_at"]) == (False, None)
    fired = client.post("/v1/schedules/nightly/trigger")
    assert fired.status_code == 201
    job = client.get(f"/v1/jobs/{fired.json()['job_id']}").json()
    assert job["submitted_by"] == "schedule:nightly"
    assert client.post("/v1/schedules/nightly/enable").json()["is_enabled"]

    (listed,) = client.get("/v1/schedules").json()["items"]
    assert listed["name"] == "nightly"
    (firing,) = client.get("/v1/schedules/nightly/firings").json()["items"]
    assert (firing["outcome"], firing["job_id"]) == ("submitted", job["id"])
    kinds = [item["kind"] for item in client.get("/v1/audit").json()["items"]]
    assert {"schedule.create", "schedule.update", "schedule.disable", "schedule.fire"} <= {*kinds}

    assert client.delete("/v1/schedules/nightly").status_code == 204
    gone = client.get("/v1/schedules/nightly")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 200


def test_the_next_times_are_told_before_and_after_it_is_made(client: httpx.Client) -> None:
    document = {"name": "nightly", "trigger": CRON, "create_job": COMMAND}
    plan = client.put("/v1/schedules/nightly", json=document, params={"dry_run": True}).json()
    assert plan["is_new"]
    assert len(plan["next_times"]) == 5
    assert plan["next_times"] == sorted({*plan["next_times"]})
    assert client.get("/v1/schedules").json()["items"] == []  # nothing was made

    put(client)
    assert client.get("/v1/schedules/nightly").json()["next_times"] == plan["next_times"]
    client.post("/v1/schedules/nightly/disable")
    assert client.get("/v1/schedules/nightly").json()["next_times"] == []


def test_firings_come_in_pages(client: httpx.Client) -> None:
    put(client)
    for _ in range(5):
        client.post("/v1/schedules/nightly/trigger")
    found, cursor = [], None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = client.get("/v1/schedules/nightly/firings", params=params).json()
        found += [item["key"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 5


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"trigger": {**CRON, "expression": "often"}}, "trigger.expression"),
        ({"trigger": {**CRON, "time_zone": "Mars"}}, "trigger.time_zone"),
        ({"trigger": {"type": "chron"}}, "trigger.type"),
        ({"trigger": {"type": "data", "data": "models:/churn@production"}}, "trigger.data"),
        ({"overlap": "sometimes"}, "overlap"),
        ({"create_job": {"type": "command"}}, "create_job.command"),
        ({"create_job": {"type": "command", "command": "x", "comput": "y"}}, "create_job.comput"),
        (
            {"create_job": {"type": "command", "command": "echo ${{creation_context.commit}}"}},
            "create_job.command",
        ),
        ({"create_job": {"job": "./job.yml"}}, "create_job.job"),
        ({"create_monitor": {}}, "create_monitor"),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(
    client: httpx.Client, change: dict[str, Any], path: str
) -> None:
    answer = put(client, **change)
    assert answer.status_code == 422, answer.text
    assert path in [problem["path"] for problem in answer.json()["problems"]]
    assert client.get("/v1/schedules").json()["items"] == []


# webhooks -------------------------------------------------------------------------------------

CHECKOUT = {
    "type": "command",
    "command": "git clone ${{creation_context.repository}} . && "
    "git checkout ${{creation_context.commit}}",
}
PUSH = {
    "ref": "refs/heads/main",
    "after": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "repository": {"clone_url": "https://git.example.org/team/churn.git"},
}


def make_hook(client: httpx.Client, **trigger: Any) -> str:
    made = put(client, "push", trigger={"type": "webhook", **trigger}, create_job=CHECKOUT)
    assert made.status_code == 201, made.text
    assert made.json()["hook_url"].endswith("/v1/hooks/push")
    return str(made.json()["secret"])


def send(
    api: Api, secret: str, payload: Any, *, delivery: str = "d1", **headers: str
) -> httpx.Response:
    body = json.dumps(payload).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    given = {
        "X-Hub-Signature-256": f"sha256={signature}",
        "X-GitHub-Delivery": delivery,
        "content-type": "application/json",
    }
    return httpx.post(f"{api.url}/v1/hooks/push", content=body, headers={**given, **headers})


def test_a_signed_push_starts_the_job_at_that_commit_once(api: Api, client: httpx.Client) -> None:
    secret = make_hook(client, branch="main")
    first = send(api, secret, PUSH)
    assert (first.status_code, first.json()["outcome"]) == (202, "submitted")
    assert send(api, secret, PUSH).json()["outcome"] == "ignored", "delivered again"
    document = client.get(f"/v1/jobs/{first.json()['job_id']}/spec").text
    assert f"git checkout {PUSH['after']}" in document

    other = send(api, secret, {**PUSH, "ref": "refs/heads/topic"}, delivery="d2")
    assert other.json()["outcome"] == "ignored", "another branch"
    client.post("/v1/schedules/push/disable")
    assert send(api, secret, PUSH, delivery="d3").json()["outcome"] == "ignored"
    assert len(client.get("/v1/jobs").json()["items"]) == 1


def test_gitlab_sends_the_secret_itself(api: Api, client: httpx.Client) -> None:
    secret = make_hook(client)
    payload = {
        "ref": "refs/heads/main",
        "checkout_sha": "a" * 40,
        "project": {"git_http_url": "https://gitlab.example.org/churn.git"},
    }
    answer = httpx.post(
        f"{api.url}/v1/hooks/push", json=payload, headers={"X-Gitlab-Token": secret}
    )
    assert answer.json()["outcome"] == "submitted"


def test_what_is_not_signed_gets_nowhere(api: Api, client: httpx.Client) -> None:
    secret = make_hook(client)
    assert send(api, "wrong", PUSH).status_code == 401
    assert send(api, secret, PUSH, **{"X-Hub-Signature-256": ""}).status_code == 401
    assert send(api, "", PUSH).status_code == 401
    put(client, "nightly")  # a schedule without a secret
    for name in ("nightly", "nothing"):
        empty = hmac.new(b"", b"{}", hashlib.sha256).hexdigest()
        answer = httpx.post(
            f"{api.url}/v1/hooks/{name}",
            content=b"{}",
            headers={"X-Hub-Signature-256": f"sha256={empty}"},
        )
        assert answer.status_code == 401
    assert secret not in client.get("/v1/schedules/push").text, "it is shown once"


@pytest.mark.parametrize(
    "change",
    [
        {"ref": "refs/heads/$(touch x)"},
        {"after": "HEAD; rm -rf /"},
        {"after": "--upload-pack=x"},
        {"repository": {"clone_url": "https://x/`id`"}},
        {"repository": {"clone_url": "ext::sh -c id"}},
    ],
)
def test_no_word_of_a_push_reaches_a_shell(
    api: Api, client: httpx.Client, change: dict[str, Any]
) -> None:
    secret = make_hook(client)
    answer = send(api, secret, {**PUSH, **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid") or (
        answer.status_code == 422
    )
    assert client.get("/v1/jobs").json()["items"] == []

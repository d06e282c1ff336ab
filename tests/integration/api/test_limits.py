"""Limits and quotas over HTTP, and what a waiting job says of them."""

from __future__ import annotations

from mlq.service import execution
from mlq.service.execution import SpecCache
from tests.integration.api.conftest import Api

STEP = {"command": "true", "limits": {"concurrency": "store"}}


def test_a_limit_is_set_seen_and_removed(api: Api) -> None:
    client = api.as_role("admin")
    refused = client.post("/v1/jobs", json=STEP)
    assert (refused.status_code, refused.json()["problems"][0]["path"]) == (
        422,
        "limits.concurrency",
    )
    assert api.as_role("submitter").put("/v1/limits/store", json={"slots": 0}).status_code == 403
    assert client.put("/v1/limits/store", json={"slots": 0}).status_code == 204

    job = client.post("/v1/jobs", json=STEP).json()["id"]
    api.database.transact(
        execution.begin_limited,
        job,
        worker="w",
        lease_s=30,
        spec_cache=SpecCache(),
        ask_gpus=lambda _: [],
    )
    assert client.get(f"/v1/jobs/{job}").json()["waiting_for"] == "limit store: it is closed"
    [limit] = api.as_role("viewer").get("/v1/limits").json()["items"]
    assert (limit["name"], limit["slots"], limit["in_use"], limit["waiting"]) == ("store", 0, 0, 1)

    assert client.delete("/v1/limits/store").status_code == 204
    assert client.delete("/v1/limits/store").status_code == 404
    assert "limit" not in client.get(f"/v1/jobs/{job}").json()["waiting_for"]
    kinds = [event["kind"] for event in client.get("/v1/audit").json()["items"]]
    assert {"limit.set", "limit.remove"} <= set(kinds)


def test_a_project_gets_a_quota(api: Api) -> None:
    client = api.as_role("admin")
    assert client.put("/v1/quotas/fraud", json={"slots": 2}).status_code == 404, "no such project"
    client.post("/v1/projects", json={"name": "fraud"})
    assert client.put("/v1/quotas/fraud", json={"slots": 2}).status_code == 204
    [quota] = client.get("/v1/quotas").json()["items"]
    assert (quota["name"], quota["slots"]) == ("fraud", 2)
    assert client.delete("/v1/quotas/fraud").status_code == 204
    assert client.get("/v1/quotas").json()["items"] == []

"""Workers over HTTP: drained and resumed by name or id, by admins."""

from __future__ import annotations

from mlq.db import workers
from tests.integration.api.conftest import Api
from tests.integration.db.test_recovery import WORKER


def test_a_worker_is_drained_and_resumed(api: Api) -> None:
    with api.database.write() as conn:
        workers.register(conn, WORKER)
    admin, submitter = api.as_role("admin"), api.as_role("submitter")
    assert submitter.post("/v1/workers/celery@one/drain").status_code == 403
    drained = admin.post("/v1/workers/celery@one/drain").json()
    assert (drained["state"], drained["name"]) == ("draining", "celery@one")
    again = admin.post(f"/v1/workers/{WORKER['id']}/drain").json()
    assert again["drain_requested_at"] == drained["drain_requested_at"]
    [listed] = submitter.get("/v1/workers").json()["items"]
    assert listed["state"] == "draining"
    resumed = admin.post("/v1/workers/celery@one/resume").json()
    assert (resumed["state"], resumed["drain_requested_at"]) == ("online", None)
    refused = admin.post("/v1/workers/celery@two/drain")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    kinds = [event["kind"] for event in admin.get("/v1/audit").json()["items"]]
    assert kinds.count("worker.drain") == kinds.count("worker.resume") == 1

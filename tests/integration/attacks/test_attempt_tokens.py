"""Code inside a job has a token for its own attempt. What else can it be used for?"""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.testclient import TestClient

from mlq.errors import ForbiddenError
from mlq.service import attempt_tokens
from mlq.service.tokens import AttemptScope, Principal
from mlq_api.auth import require_own_job
from mlq_api.serving.app import create_app
from mlq_api.serving.server import Serving
from tests.integration.api.test_access import operations
from tests.integration.attacks.conftest import Api, bearer, submit_job

#: Tracking and predictions, which are what the token is for, and hooks, which ask for no token.
OUTSIDE = r"/mlflow/api/2\.0/|/api/2\.0/|/v1/hooks/|/endpoints/[^/]+/score"


def _status(api: Api, token: str) -> int:
    api.app.state.server.principals.forget()
    return httpx.get(f"{api.url}/v1/whoami", headers=bearer(token)).status_code


def test_it_opens_no_route_but_tracking_and_predictions(api: Api) -> None:
    job = submit_job(api, api.as_role("submitter"))
    with httpx.Client(base_url=api.url, headers=bearer(job.begin())) as client:
        assert client.get("/v1/whoami").json()["name"] == f"job:{job.job_id}"
        tried = 0
        for method, path in operations(api):
            if path in {"/v1/whoami", "/healthz", "/readyz", "/login"} or re.match(OUTSIDE, path):
                continue
            tried += 1
            path = path.replace("0" * 64, job.job_id)  # its own job, too
            assert client.request(method, path).status_code == 403, (method, path)
        assert tried > 45


def test_it_asks_endpoints_of_its_own_project_only(api: Api) -> None:
    job = submit_job(api, api.as_role("submitter"))
    token = job.begin()
    with TestClient(create_app(api.settings)) as client:
        serving: Serving = client.app.app.state.serving  # type: ignore[attr-defined]
        assert serving._authenticate_attempt(token) == Principal(
            token_id="",
            name=f"job:{job.job_id}",
            role="viewer",
            kind="attempt",
            project="default",  # others' endpoints are not found with it
            attempt=AttemptScope(job.job_id, 1),
        )
        asked = client.post("/endpoints/shop/score", json={"rows": []}, headers=bearer(token))
        assert asked.status_code in (404, 503)
        assert client.get("/metrics", headers=bearer(token)).status_code == 403
        job.release()
        assert serving._authenticate_attempt(token) is None


def test_it_is_worth_nothing_once_its_attempt_has_ended(api: Api) -> None:
    job = submit_job(api, api.as_role("submitter"))
    first = job.begin()
    assert _status(api, first) == 200
    job.release()
    assert _status(api, first) == 401
    second = job.begin()
    assert (_status(api, first), _status(api, second)) == (401, 200)


@pytest.mark.parametrize("attempt", ["0", "2", "-1", str(2**63), "1_", "01"])
def test_no_other_attempt_is_made_from_it(api: Api, attempt: str) -> None:
    job = submit_job(api, api.as_role("submitter"))
    token = job.begin()
    assert _status(api, token.replace("_1_", f"_{attempt}_")) == 401


def test_it_touches_no_other_job(api: Api) -> None:
    ours, theirs = (submit_job(api, api.as_role("submitter")) for _ in range(2))
    token = ours.begin()
    theirs.begin()
    assert _status(api, token.replace(ours.job_id, theirs.job_id)) == 401
    with api.database.read() as conn:
        principal = attempt_tokens.authenticate(conn, token)
    assert principal is not None
    require_own_job(principal, ours.job_id)
    with pytest.raises(ForbiddenError):
        require_own_job(principal, theirs.job_id)

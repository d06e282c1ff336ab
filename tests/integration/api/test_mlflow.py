"""MLflow's REST API beside mlq's own: what its client's story does not reach."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import Api
from tests.integration.attacks.conftest import bearer, submit_job

BASES = ["/mlflow/api/2.0/mlflow", "/api/2.0/mlflow"]


def post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"{BASES[0]}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"] == code
    return str(answer.json()["message"])


def start(client: httpx.Client, **body: Any) -> str:
    made = post(client, "runs/create", experiment_id="0", **body)
    return str(made["run"]["info"]["run_id"])


def run_of(client: httpx.Client, run_id: str) -> dict[str, Any]:
    answer = client.get(f"{BASES[1]}/runs/get", params={"run_id": run_id})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["run"])


def pairs(values: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in values}


def test_a_batch_is_all_or_nothing(api: Api) -> None:
    client = api.as_role("submitter")
    run_id = start(client)
    post(client, "runs/log-parameter", run_id=run_id, key="lr", value="1")
    answer = client.post(
        f"{BASES[0]}/runs/log-batch",
        json={
            "run_id": run_id,
            "metrics": [{"key": "a", "value": 1, "step": 0, "timestamp": 1}],
            "params": [{"key": "lr", "value": "2"}],
        },
    )
    assert "do not change" in refused(answer, 400, "INVALID_PARAMETER_VALUE")
    assert run_of(client, run_id)["data"]["metrics"] == []


def test_the_value_with_the_highest_step_is_the_latest(api: Api) -> None:
    client = api.as_role("submitter")
    run_id = start(client)
    for step, value in ((5, 0.5), (9, 0.9), (7, 0.7)):
        post(client, "runs/log-metric", run_id=run_id, key="a", value=value, step=step, timestamp=1)
    (latest,) = run_of(client, run_id)["data"]["metrics"]
    assert (latest["value"], latest["step"], latest["timestamp"]) == (0.9, 9, 1)


def test_a_number_that_is_none_is_left_out(api: Api) -> None:
    client = api.as_role("submitter")
    run_id = start(client)
    post(client, "runs/log-metric", run_id=run_id, key="a", value="NaN", timestamp=1)
    assert run_of(client, run_id)["data"]["metrics"] == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("runs/log-metric", {"key": "a", "value": "high"}, "is no number"),
        ("runs/log-metric", {"key": "a\n", "value": 1}, "cannot be the name"),
        ("runs/log-metric", {"value": 1}, "'key' is missing"),
        ("runs/log-parameter", {"key": "a", "value": "x" * 6001}, "at most 6000"),
        ("runs/set-tag", {"key": "x" * 251, "value": ""}, "cannot be the name"),
        ("runs/update", {"status": "DONE"}, "is no status"),
        ("runs/search", {"experiment_ids": ["0"], "filter": "metrics.a"}, "breaks off"),
    ],
)
def test_bad_input(api: Api, path: str, body: dict[str, Any], words: str) -> None:
    client = api.as_role("submitter")
    answer = client.post(f"{BASES[0]}/{path}", json={"run_id": start(client), **body})
    assert words in refused(answer, 400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "path", ["0/{run}/artifacts/../../etc/passwd", "0/{run}/artifacts/%2e%2e/x", "0/{run}/other/x"]
)
def test_no_path_leads_out_of_a_run(api: Api, path: str) -> None:
    client = api.as_role("submitter")
    address = path.replace("{run}", start(client))
    answer = client.put(f"/api/2.0/mlflow-artifacts/artifacts/{address}", content=b"x")
    assert answer.status_code in {400, 404}, answer.text


def test_a_file_may_be_larger_than_a_document(api: Api) -> None:
    client = api.as_role("submitter")
    address = f"/api/2.0/mlflow-artifacts/artifacts/0/{start(client)}/artifacts/a.json"
    content = b"0" * (api.settings.max_body_bytes + 1)
    headers = {"content-type": "application/json"}  # as MLflow's client sends it
    assert client.put(address, content=content, headers=headers).status_code == 200
    assert client.get(address).content == content


class TestJobs:
    def test_a_leaf_job_is_a_run(self, api: Api) -> None:
        client = api.as_role("submitter")
        job = submit_job(api, client, name="train")
        assert run_of(client, job.job_id)["info"]["status"] == "SCHEDULED"
        token = job.begin()
        with httpx.Client(base_url=api.url, headers=bearer(token)) as code:
            post(code, "runs/log-metric", run_id=job.job_id, key="loss", value=0.5, timestamp=1)
            post(code, "runs/log-parameter", run_id=job.job_id, key="lr", value="0.1")
            post(code, "runs/update", run_id=job.job_id, status="FINISHED")
        run = run_of(client, job.job_id)
        assert run["info"]["status"] == "RUNNING"  # its end is the job's
        assert pairs(run["data"]["params"]) == {"lr": "0.1"}
        assert client.get(f"/v1/jobs/{job.job_id}").json()["metrics"] == {"loss": 0.5}
        found = post(
            client,
            "runs/search",
            experiment_ids=["0"],
            filter="metrics.loss < 1 and params.lr = '0.1'",
        )
        assert [one["info"]["run_id"] for one in found["runs"]] == [job.job_id]

    def test_a_new_attempt_begins_with_an_empty_record(self, api: Api) -> None:
        client = api.as_role("submitter")
        job = submit_job(api, client)
        first = job.begin()
        with httpx.Client(base_url=api.url, headers=bearer(first)) as code:
            post(code, "runs/log-metric", run_id=job.job_id, key="loss", value=0.5, timestamp=1)
            post(code, "runs/log-parameter", run_id=job.job_id, key="lr", value="0.1")
            post(code, "runs/set-tag", run_id=job.job_id, key="t", value="1")
            job.release()
            second = job.begin()
            api.app.state.server.principals.forget()
            late = code.post(
                f"{BASES[0]}/runs/log-parameter",
                json={"run_id": job.job_id, "key": "late", "value": "1"},
            )
            assert late.status_code == 401  # its token is worth nothing any more
        data = run_of(client, job.job_id)["data"]
        assert (data["metrics"], data["params"]) == ([], [])
        assert "t" not in pairs(data["tags"])
        with httpx.Client(base_url=api.url, headers=bearer(second)) as code:
            post(code, "runs/log-parameter", run_id=job.job_id, key="lr", value="0.2")
        assert pairs(run_of(client, job.job_id)["data"]["params"]) == {"lr": "0.2"}

    def test_a_stale_attempt_is_refused_though_its_token_is_remembered(self, api: Api) -> None:
        job = submit_job(api, api.as_role("submitter"))
        token = job.begin()
        with httpx.Client(base_url=api.url, headers=bearer(token)) as code:
            body = {"run_id": job.job_id, "key": "a", "value": "1"}
            assert code.post(f"{BASES[0]}/runs/set-tag", json=body).status_code == 200
            job.release()
            answer = code.post(f"{BASES[0]}/runs/set-tag", json={**body, "key": "b"})
            # 401 where the machine was so slow that the token had to be looked up once more
            assert answer.status_code in (401, 403), answer.text

    def test_its_code_touches_its_own_runs_only(self, api: Api) -> None:
        client = api.as_role("submitter")
        job, other = submit_job(api, client), submit_job(api, client)
        theirs = start(client)
        with httpx.Client(base_url=api.url, headers=bearer(job.begin())) as code:
            child = start(code, tags=[{"key": "mlflow.parentRunId", "value": job.job_id}])
            post(code, "runs/log-metric", run_id=child, key="a", value=1, timestamp=1)
            for run_id in (theirs, other.job_id):
                body = {"run_id": run_id, "key": "a", "value": "1"}
                answer = code.post(f"{BASES[0]}/runs/set-tag", json=body)
                refused(answer, 403, "PERMISSION_DENIED")
                answer = code.get(f"{BASES[0]}/runs/get", params={"run_id": run_id})
                refused(answer, 403, "PERMISSION_DENIED")
                address = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/x"
                refused(code.put(address, content=b"x"), 403, "PERMISSION_DENIED")
            found = post(code, "runs/search", experiment_ids=["0"])
            assert {one["info"]["run_id"] for one in found["runs"]} == {job.job_id, child}
            answer = code.post(f"{BASES[0]}/registered-models/create", json={"name": "m"})
            refused(answer, 403, "PERMISSION_DENIED")


def test_a_viewer_searches_and_changes_nothing(api: Api) -> None:
    viewer = api.as_role("viewer")
    assert post(viewer, "runs/search", experiment_ids=["0"]) == {"runs": []}
    assert viewer.post(f"{BASES[0]}/runs/create", json={}).status_code == 403


def test_only_a_model_is_registered(api: Api) -> None:
    client = api.as_role("submitter")
    run_id = start(client)
    address = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/plain/note.txt"
    assert client.put(address, content=b"x").status_code == 200
    post(client, "registered-models/create", name="m")
    source = f"mlflow-artifacts:/0/{run_id}/artifacts/plain"
    answer = client.post(
        f"{BASES[0]}/model-versions/create", json={"name": "m", "source": source, "run_id": run_id}
    )
    assert "no MLmodel file" in refused(answer, 400, "INVALID_PARAMETER_VALUE")
    elsewhere = client.post(
        f"{BASES[0]}/model-versions/create", json={"name": "m", "source": "s3://bucket/model"}
    )
    assert "not on this server" in refused(elsewhere, 400, "INVALID_PARAMETER_VALUE")

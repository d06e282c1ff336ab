"""Submitting jobs and looking at them, without any worker."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from mlq.db import reports
from mlq.db.reports import MetricValue
from mlq.db.tables import latest_metrics
from tests.integration.api.conftest import Api, line_of_steps

YAML = {"content-type": "application/yaml"}


def test_a_submitted_pipeline_is_shown_at_once(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs", json=line_of_steps(3))
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["type"], job["display_name"]) == ("running", "pipeline", "line")
    steps = job["children"]
    assert [step["name"] for step in steps] == ["s0", "s1", "s2"]
    assert [step["state"] for step in steps] == ["queued", "pending", "pending"]
    assert steps[2]["upstreams"] == [steps[1]["id"]]
    assert steps[1]["waiting_for"] == "waiting for s0"
    assert job["submitted_by"] == "admin"

    shown = client.get(f"/v1/jobs/{job['id']}").json()
    hint = "no live worker serves compute cpu; start one with `mlq worker -Q cpu`"
    assert shown["children"][0].pop("waiting_for") == hint
    steps[0].pop("waiting_for")
    for one in (shown, job):
        one.pop("duration_s")
    assert shown == job, "the answer to a submission is what a look at it shows"


@pytest.mark.parametrize(
    "document",
    [
        {"type": "command", "command": "true", "tags": {"ü": "½"}},
        line_of_steps(2, inputs={"x": 1.5, "y": "a\\\"'%s:x", "z": True}, experiment_name="e"),
        {
            "type": "pipeline",
            "jobs": {
                "last": {
                    "type": "command",
                    "command": "true",
                    "inputs": {"a": "${{parent.jobs.inner.outputs.o}}"},
                },
                "inner": {
                    **line_of_steps(2),
                    "outputs": {"o": "${{parent.jobs.s1.outputs.out}}"},
                },
            },
        },
        {
            "type": "sweep",
            "trial": {"command": "echo ${{inputs.x}}"},
            "search_space": {"x": {"type": "choice", "values": [1, 2]}},
            "sampling_algorithm": "grid",
            "objective": {"primary_metric": "score", "goal": "maximize"},
            "limits": {"max_total_trials": 2},
        },
    ],
    ids=["command", "inputs", "nested", "sweep"],
)
def test_the_answer_to_a_submission_is_what_is_stored(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    answer = client.post("/v1/jobs", json=document)
    assert answer.status_code == 201, answer.text
    shown = client.get(f"/v1/jobs/{answer.json()['id']}").json()
    assert _settled(answer.json()) == _settled(shown)


def _settled(job: dict[str, Any]) -> dict[str, Any]:
    """A job without what depends on the moment of looking."""
    children = (
        {"children": [_settled(child) for child in job["children"]]} if "children" in job else {}
    )
    return {**job, **children, "duration_s": None, "waiting_for": None}


def test_yaml_is_kept_as_it_was_written(client: httpx.Client) -> None:
    text = "type: command\ncommand: echo é # why not\n"
    job = client.post("/v1/jobs", content=text.encode(), headers=YAML).json()
    answer = client.get(f"/v1/jobs/{job['id']}/spec")
    assert answer.content.decode() == text
    assert answer.headers["content-type"].startswith("application/yaml")


def test_a_key_submits_once(client: httpx.Client) -> None:
    key = {"idempotency-key": "one"}
    first = client.post("/v1/jobs", json=line_of_steps(2), headers=key)
    again = client.post("/v1/jobs", json=line_of_steps(2), headers=key)
    other = client.post("/v1/jobs", json=line_of_steps(3), headers=key)
    assert [first.status_code, again.status_code, other.status_code] == [201, 200, 422]
    assert first.json()["id"] == again.json()["id"]
    assert other.json()["code"] == "idempotency_mismatch"
    assert len(client.get("/v1/jobs").json()["items"]) == 1


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ("type: pipeline\njobs: {a: {component: mlq:trian}}\n", "jobs.a.component", "mlq:trian"),
        ("type: command\ncommand: 'true'\ncompute: cpuu\n", "compute", "cpuu"),
        ("type: automl\n", "type", "automl"),
        (
            "type: pipeline\njobs:\n  a:\n    component: mlq:preprocess\n"
            '    inputs: {data: "mlq:nothing:1", target: y}\n',
            "jobs.a.inputs.data",
            "nothing",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_places(
    client: httpx.Client, document: str, path: str, words: str
) -> None:
    for params in ({}, {"dry_run": "true"}):
        answer = client.post("/v1/jobs", content=document.encode(), headers=YAML, params=params)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["code"] == "invalid_spec"
        (found,) = [one for one in problem["problems"] if one["path"] == path]
        assert words in found["message"]
    assert client.get("/v1/jobs").json()["items"] == []


def test_bodies_that_are_no_job_file(client: httpx.Client) -> None:
    def post(content: bytes, media_type: str = "application/json") -> tuple[int, str]:
        answer = client.post("/v1/jobs", content=content, headers={"content-type": media_type})
        return answer.status_code, answer.json()["code"]

    assert post(b"\xff\xfe\x00", "application/yaml") == (422, "invalid_spec")
    assert post(b"{", "application/json") == (422, "invalid_spec")
    assert post(b"", "application/json") == (422, "invalid_spec")
    assert post(b"type: command", "text/html") == (415, "unsupported_media")
    assert post(b" " * 300_000) == (413, "too_large")


def test_a_dry_run_stores_nothing(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs", json=line_of_steps(2), params={"dry_run": "true"})
    assert answer.status_code == 200
    assert [job["path"] for job in answer.json()["jobs"]] == ["", "s0", "s1"]
    assert client.get("/v1/jobs").json()["items"] == []


def test_references(client: httpx.Client) -> None:
    first = client.post("/v1/jobs", json=line_of_steps(1)).json()
    second = client.post("/v1/jobs", json=line_of_steps(1)).json()
    step = second["children"][0]
    for ref, meant in (
        (first["id"], first),
        (second["id"].upper(), second),
        ("line", second),
        ("@last", second),
        (step["id"], step),
        (second["id"][:20], second),
    ):
        assert client.get(f"/v1/jobs/{ref}").json()["id"] == meant["id"], ref
    answer = client.get(f"/v1/jobs/{first['id'][:6]}")
    assert (answer.status_code, answer.json()["code"]) == (409, "ambiguous")
    assert first["id"] in answer.json()["hint"]
    for ref in ("0" * 32, "abcdef", "lime", "%00", "a%2Fb"):
        assert client.get(f"/v1/jobs/{ref}").status_code == 404, ref


def test_lists_are_paged_newest_first(client: httpx.Client) -> None:
    made = [client.post("/v1/jobs", json=line_of_steps(1)).json()["id"] for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/jobs", params=params).json()
        assert len(page["items"]) <= 2
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert len(client.get("/v1/jobs", params={"parent": "any"}).json()["items"]) == 10
    assert client.get("/v1/jobs", params={"state": "failed"}).json()["items"] == []
    assert client.get("/v1/jobs", params={"state": "fialed"}).status_code == 422
    assert client.get("/v1/jobs", params={"cursor": "x"}).status_code == 422
    assert len(client.get("/v1/jobs", params={"parent": made[0]}).json()["items"]) == 1


def test_metrics_of_steps_are_told_where_they_are_asked_for(api: Api, client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=line_of_steps(3)).json()
    with api.database.write() as conn:
        for number, value in ((0, 0.5), (2, 0.75)):
            reports.write_metrics(
                conn, job["children"][number]["id"], 1, [MetricValue("val.acc", value)]
            )

    def listed(*metrics: str) -> dict[str, float]:
        items = client.get("/v1/jobs", params={"metric": list(metrics)}).json()["items"]
        return dict(items[0]["metrics"])

    assert listed() == {}
    assert listed("val.acc", "s0.val.acc", "s1.val.acc", "loss") == {
        "val.acc": 0.75,
        "s0.val.acc": 0.5,
    }
    assert client.get("/v1/jobs", params={"metric": ["m"] * 11}).status_code == 422


def test_words_to_filter_by_are_those_of_the_newest_jobs(api: Api, client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=line_of_steps(1, experiment_name="e")).json()
    with api.database.write() as conn:
        reports.write_metrics(conn, job["children"][0]["id"], 1, [MetricValue("acc", 1.0)])
    words = client.get("/v1/job-words").json()
    assert words == {"names": ["line"], "experiments": ["e"], "metrics": ["acc"]}
    project = {"mlq-project": "default"}
    assert client.get("/v1/job-words", headers=project).json() == words
    client.post("/v1/projects", json={"name": "other"})
    other = client.get("/v1/job-words", headers={"mlq-project": "other"}).json()
    assert other == {"names": [], "experiments": [], "metrics": []}


def test_children_are_paged_in_order(client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=line_of_steps(5)).json()
    path = f"/v1/jobs/{job['id']}/children"
    first = client.get(path, params={"limit": 3}).json()
    rest = client.get(path, params={"limit": 3, "cursor": first["next_cursor"]}).json()
    names = [child["name"] for child in (*first["items"], *rest["items"])]
    assert (names, rest["next_cursor"]) == (["s0", "s1", "s2", "s3", "s4"], None)


def test_nested_pipelines_show_as_deep_as_asked(client: httpx.Client) -> None:
    inner = {"type": "pipeline", "jobs": {"leaf": {"type": "command", "command": "true"}}}
    job = client.post("/v1/jobs", json={"type": "pipeline", "jobs": {"inner": inner}}).json()
    path = f"/v1/jobs/{job['id']}"
    assert client.get(path, params={"depth": 0}).json()["children"] == []
    assert client.get(path).json()["children"][0]["children"] == []
    deep = client.get(path, params={"depth": 2}).json()["children"][0]["children"]
    assert [leaf["path"] for leaf in deep] == ["inner.leaf"]


def test_cancel_and_archive(client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=line_of_steps(2)).json()
    path = f"/v1/jobs/{job['id']}"
    assert client.post(f"{path}/archive").status_code == 409
    canceled = client.post(f"{path}/cancel").json()
    assert canceled["state"] == "canceled"
    assert {step["state"] for step in canceled["children"]} == {"canceled"}
    assert client.post(f"{path}/cancel").json()["state"] == "canceled"
    assert client.post(f"{path}/archive").json()["archived_at"]
    assert client.get("/v1/jobs").json()["items"] == []
    assert len(client.get("/v1/jobs", params={"archived": "true"}).json()["items"]) == 1


def test_resume_needs_a_finished_root(client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=line_of_steps(2)).json()
    path = f"/v1/jobs/{job['id']}"
    assert client.post(f"{path}/resume").status_code == 409
    client.post(f"{path}/cancel")
    assert client.post(f"/v1/jobs/{job['children'][0]['id']}/resume").status_code == 409
    resumed = client.post(f"{path}/resume").json()
    assert (resumed["state"], resumed["generation"]) == ("running", 2)


def test_queues_and_scale(client: httpx.Client) -> None:
    for compute in ("cpu", "gpu", "gpu"):
        document = {"type": "command", "command": "true", "compute": compute}
        assert client.post("/v1/jobs", json=document).status_code == 201
    queues = {queue["compute"]: queue for queue in client.get("/v1/queues").json()["items"]}
    assert (queues["cpu"]["queued"], queues["gpu"]["queued"]) == (1, 2)
    assert queues["gpu"]["workers"] == 0
    assert queues["gpu"]["oldest_queued_s"] >= 0
    assert client.get("/v1/queues/gpu/scale").json() == {"desired": 2}
    params = {"slots_per_worker": 4}
    assert client.get("/v1/queues/gpu/scale", params=params).json() == {"desired": 1}
    assert client.get("/v1/queues/nothing/scale").json() == {"desired": 0}
    text = client.get("/metrics").text
    assert 'mlq_queue_waiting{queue="gpu"} 2.0' in text
    assert 'mlq_jobs{state="queued",type="command"} 3.0' in text
    assert 'mlq_http_request_seconds_count{method="POST",route="/v1/jobs",status="201"} 3.0' in text


def test_the_pages_escape_what_people_write(client: httpx.Client) -> None:
    name = "<script>alert(1)</script>"
    job = client.post("/v1/jobs", json=line_of_steps(1, display_name=name)).json()
    for path in ("/", f"/jobs/{job['id']}", "/docs"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "&lt;script&gt;" in client.get("/").text
    assert client.get("/jobs/nothing").status_code == 404


def test_events_of_a_tree_are_read_and_resumed(api: Api, client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=line_of_steps(2)).json()
    path = f"/v1/jobs/{job['id']}"
    client.post("/v1/jobs", json=line_of_steps(2))
    client.post(f"{path}/cancel")
    page = client.get(f"{path}/events", params={"limit": 2}).json()
    kinds = [event["kind"] for event in page["items"]]
    while page["next_cursor"]:
        page = client.get(f"{path}/events", params={"cursor": page["next_cursor"]}).json()
        kinds += [event["kind"] for event in page["items"]]
    assert kinds.count("job.cancel") == 3

    streamed = _stream(client, f"{path}/events")
    assert [event["kind"] for _, event in streamed[:-1]] == kinds
    for place in range(len(streamed) - 1):
        rest = _stream(client, f"{path}/events", after=streamed[place][0])
        assert rest[:-1] == streamed[place + 1 : -1]


def _stream(client: httpx.Client, path: str, after: str | None = None) -> list[tuple[str, dict]]:
    """(id, data) of each event until the stream ends, which must be with the event `end`."""
    headers = {"accept": "text/event-stream"} | ({"last-event-id": after} if after else {})
    found: list[tuple[str, dict]] = []
    name = mark = ""
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        data = ""
        for line in answer.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                data = value
            elif key == "id":
                mark = value
            elif not line and data:
                found.append((mark, json.loads(data)))
                data = ""
    assert name == "end"
    return found


def test_a_waiting_job_moves(client: httpx.Client) -> None:
    first = client.post("/v1/jobs", json=line_of_steps(2)).json()["id"]
    second = client.post("/v1/jobs", json=line_of_steps(2)).json()
    moved = client.post(f"/v1/jobs/{second['id']}/move", json={"priority": 7, "to": "front"})
    assert (moved.status_code, moved.json()["priority"]) == (200, 7)
    assert {child["priority"] for child in moved.json()["children"]} == {7}
    step = client.post(f"/v1/jobs/{second['children'][0]['id']}/move", json={"to": "back"})
    assert (step.status_code, step.json()["code"]) == (409, "conflict")
    assert client.post(f"/v1/jobs/{first}/move", json={}).status_code == 422
    assert client.post(f"/v1/jobs/{first}/move", json={"to": "moon"}).status_code == 422


def test_jobs_are_filtered_by_what_they_or_their_steps_measured(api: Api) -> None:
    client = api.as_role("submitter")
    line, single = (
        client.post("/v1/jobs", json=body).json()
        for body in (line_of_steps(2), {"type": "command", "command": "true"})
    )
    step = line["children"][1]
    with api.database.write() as conn:
        values = [(step["id"], "accuracy", 0.9), (single["id"], "accuracy", 0.5)]
        rows = [{"job_id": job, "key": key, "value": value} for job, key, value in values]
        at = datetime.now(UTC)
        conn.execute(insert(latest_metrics), [{**row, "step": 0, "at": at} for row in rows])

    def found(*conditions: str) -> list[str]:
        answer = client.get("/v1/jobs", params={"where": conditions})
        return [job["id"] for job in answer.json()["items"]]

    assert found("accuracy>0.8") == [line["id"]]
    assert found("accuracy<=0.5") == [single["id"]]
    assert found("accuracy>=0.5") == [single["id"], line["id"]]
    assert found("accuracy>=0.5", "accuracy!=0.5") == [line["id"]]
    assert found(f"{step['name']}.accuracy = 0.9") == [line["id"]]
    assert found("elsewhere.accuracy>0") == []
    refused = client.get("/v1/jobs", params={"where": "accuracy>high"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert "accuracy>0.9" in refused.json()["hint"]

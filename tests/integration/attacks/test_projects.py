"""A token of one project against what another project has, on every verb of every route."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from mlq.db.projects import own_name
from mlq.db.registry import Artifact, add_artifacts
from mlq.service import endpoints, models, projects, tokens
from mlq.spec.builtin import BUILTIN
from mlq_api.access import OBJECTS
from tests.integration.api.test_access import routes
from tests.integration.attacks.conftest import Api, bearer

SCHEDULE = {
    "trigger": {"type": "cron", "expression": "0 2 * * *"},
    "create_job": {"type": "command", "command": "true"},
}


class Team:
    """A project with a client of its own and one object of each kind."""

    def __init__(self, api: Api, project: str) -> None:
        self.api, self.project = api, project
        with api.database.write() as conn:
            projects.create(conn, project, actor="admin")
            made = tokens.create(conn, name="ci", role="submitter", actor="admin", project=project)
        self.client = httpx.Client(base_url=api.url, headers=bearer(made.token), timeout=120)

    def fill(self) -> dict[str, str]:
        """Make one object of each kind; kind of address -> what stands in it."""
        job = self.client.post(
            "/v1/jobs", json={"type": "command", "command": "true", "display_name": "secret-job"}
        ).json()
        data = self.client.post(
            "/v1/data/secret-data/versions", params={"filename": "a.csv"}, content=b"a\n1\n"
        )
        assert data.status_code == 201, data.text
        with self.api.database.write() as conn:
            digest = "ab" * 32
            add_artifacts(conn, [Artifact(digest, "tree", 1)])
            models.register(
                conn,
                name="secret-model",
                digest=digest,
                size_bytes=1,
                actor="ci",
                project=self.project,
            )
            models.set_alias(conn, name="secret-model", alias="staging", version=1, actor="ci")
            endpoints.create(conn, name="secret-endpoint", actor="ci", project=self.project)
            own_name(conn, "batch", "secret-batch", self.project)
        put = self.client.put(
            "/v1/schedules/secret-schedule", json={"name": "secret-schedule", **SCHEDULE}
        )
        assert put.status_code == 201, put.text
        component = {"type": "command", "name": "secret-component", "command": "true"}
        made = self.client.post("/v1/components", json=component)
        assert made.status_code == 201, made.text
        environment = {"name": "secret-environment", "requirements": ["numpy"]}
        made = self.client.post("/v1/environments", json=environment)
        assert made.status_code == 201, made.text
        return {
            "/v1/jobs/{ref}": job["id"],
            "/v1/approvals/{ref}": job["id"],
            "/v1/batch-endpoints/{name}": "secret-batch",
            "/v1/data/{name}": "secret-data",
            "/v1/models/{name}": "secret-model",
            "/v1/endpoints/{name}": "secret-endpoint",
            "/v1/schedules/{name}": "secret-schedule",
            "/v1/components/{name}": "secret-component",
            "/v1/environments/{name}": "secret-environment",
            "/endpoints/{name}/score": "secret-endpoint",
            "/endpoints/{name}/feedback": "secret-endpoint",
        }


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of each kind: each has its own way with ids."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def teams(api: Api) -> Iterator[tuple[Team, Team]]:
    """Those whose objects they are, and those who want them."""
    made = Team(api, "red"), Team(api, "blue")
    yield made
    for team in made:
        team.client.close()


def _addresses(api: Api, owned: dict[str, str]) -> Iterator[tuple[str, str]]:
    for route in routes(api.app.routes):
        assert isinstance(route, APIRoute)
        for prefix, name in owned.items():
            if route.path == prefix or route.path.startswith(f"{prefix}/"):
                head = prefix.replace("{ref}", name).replace("{name}", name)
                rest = route.path.removeprefix(prefix)
                for word in ("{name}", "{path:path}", "{version}", "{alias}", "{deployment}"):
                    rest = rest.replace(word, "1" if word == "{version}" else "staging")
                for method in sorted(route.methods):
                    yield method, head + rest


def test_no_verb_reaches_an_object_of_another_project(api: Api, teams: tuple[Team, Team]) -> None:
    red, blue = teams
    owned = red.fill()
    assert owned.keys() == OBJECTS.keys()
    before = _dump(red)
    tried = 0
    for method, path in _addresses(api, owned):
        tried += 1
        answer = blue.client.request(method, path, json={"version": "1", "alias": "x"})
        is_new_name = (method, path) in {
            ("POST", "/v1/data/secret-data/versions"),
            ("PUT", "/v1/schedules/secret-schedule"),
        }
        assert answer.status_code == 404, (method, path, answer.status_code, answer.text)
        assert not is_new_name or "no" in answer.json()["detail"]
    assert tried > 40
    assert _dump(red) == before


def _dump(team: Team) -> list[Any]:
    kinds = ("jobs", "data", "models", "endpoints", "schedules", "components")
    found = [team.client.get(f"/v1/{kind}").json()["items"] for kind in kinds]
    return [[one for one in items if not _is_builtin(one)] for items in found]


def _is_builtin(item: dict[str, Any]) -> bool:
    return item.get("name") in BUILTIN


def test_lists_events_and_searches_show_nothing_of_it(api: Api, teams: tuple[Team, Team]) -> None:
    red, blue = teams
    job_id = red.fill()["/v1/jobs/{ref}"]
    assert [len(items) for items in _dump(red)] == [1] * 6
    assert _dump(blue) == [[]] * 6
    for path in ("/v1/events", "/", "/v1/jobs?parent=any", "/v1/jobs?name=secret-job"):
        for answer in (blue.client.get(path), blue.client.get(path, headers={"accept": "*/*"})):
            assert answer.status_code == 200
            assert "secret" not in answer.text
            assert job_id not in answer.text
    for ref in (job_id, job_id[:12], "secret-job", "@last"):
        assert red.client.get(f"/v1/jobs/{ref}").status_code == 200
        answer = blue.client.get(f"/v1/jobs/{ref}")
        assert answer.status_code == 404
        assert job_id not in answer.text.replace(ref, "")
    assert blue.client.get("/v1/jobs", params={"parent": job_id}).status_code == 404
    assert blue.client.get("/v1/models/secret-modle").json().get("hint", "") == ""
    assert job_id in red.client.get("/v1/events").text


def test_flower_which_shows_all_is_closed_to_it(api: Api, teams: tuple[Team, Team]) -> None:
    assert teams[1].client.get("/flower/tasks").status_code == 403
    assert api.as_role("viewer").get("/flower/tasks").status_code == 404  # none runs here


def test_bytes_are_not_had_by_their_digest(api: Api, teams: tuple[Team, Team]) -> None:
    red, blue = teams
    content = b"salary\n1\n"
    digest = hashlib.sha256(content).hexdigest()
    assert red.client.put(f"/v1/blobs/{digest}", content=content).status_code == 201
    assert red.client.get(f"/v1/blobs/{digest}").content == content
    assert blue.client.get(f"/v1/blobs/{digest}").status_code == 404
    assert blue.client.head(f"/v1/blobs/{digest}").status_code == 404
    named = {"digest": digest, "type": "uri_file", "file_name": "a.csv"}
    assert blue.client.post("/v1/data/mine/versions", json=named).status_code == 404
    document = {
        "type": "command",
        "command": "cat ${{inputs.x}}",
        "inputs": {"x": {"type": "uri_file", "path": f"artifact:sha256:{digest}"}},
    }
    answer = blue.client.post("/v1/jobs", json=document)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_spec")
    assert red.client.post("/v1/jobs", json=document).status_code == 201


def test_jobs_and_deployments_take_nothing_of_it(api: Api, teams: tuple[Team, Team]) -> None:
    red, blue = teams
    red.fill()
    for path, kind in (
        ("mlq:secret-data:1", "uri_file"),
        ("mlq:secret-data@latest", "uri_file"),
        ("models:/secret-model/1", "mlflow_model"),
        ("models:/secret-model@staging", "mlflow_model"),
    ):
        document = {
            "type": "command",
            "command": "cat ${{inputs.x}}",
            "inputs": {"x": {"type": kind, "path": path}},
        }
        answer = blue.client.post("/v1/jobs", json=document)
        assert answer.status_code == 422, path
        assert red.client.post("/v1/jobs", json=document).status_code == 201, path
    assert blue.client.post("/v1/endpoints", json={"name": "mine"}).status_code == 201
    answer = blue.client.put(
        "/v1/endpoints/mine/deployments/a", json={"model": "models:/secret-model@staging"}
    )
    assert answer.status_code == 404


def test_names_of_it_cannot_be_taken(api: Api, teams: tuple[Team, Team]) -> None:
    red, blue = teams
    red.fill()
    assert blue.client.post("/v1/endpoints", json={"name": "secret-endpoint"}).status_code == 409
    admin = api.as_role("admin")
    assert admin.get("/v1/endpoints/secret-endpoint").status_code == 200
    assert red.client.delete("/v1/endpoints/secret-endpoint").status_code == 204
    assert blue.client.post("/v1/endpoints", json={"name": "secret-endpoint"}).status_code == 409


def test_a_key_for_repeating_does_not_answer_its_job(api: Api, teams: tuple[Team, Team]) -> None:
    red, blue = teams  # both tokens are named "ci"
    document = {"type": "command", "command": "true"}
    headers = {"idempotency-key": "1"}
    first, second = (
        team.client.post("/v1/jobs", json=document, headers=headers) for team in (red, blue)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


def test_a_token_does_not_leave_its_project(api: Api, teams: tuple[Team, Team]) -> None:
    red, blue = teams
    red.fill()
    for wanted in ("red", "default"):
        answer = blue.client.get("/v1/jobs", headers={"mlq-project": wanted})
        assert answer.status_code == 403
    admin = api.as_role("admin")
    seen = admin.get("/v1/jobs", headers={"mlq-project": "red"}).json()["items"]
    assert [job["display_name"] for job in seen] == ["secret-job"]
    assert admin.get("/v1/jobs", headers={"mlq-project": "blue"}).json()["items"] == []
    answer = admin.post("/v1/tokens", json={"name": "x", "role": "admin", "project": "red"})
    assert answer.status_code == 422
    answer = admin.post("/v1/tokens", json={"name": "x", "role": "viewer", "project": "green"})
    assert answer.status_code == 404

"""Secrets of projects over HTTP and by the command line."""

from __future__ import annotations

import io
import sys

import httpx
import pytest
from pydantic import SecretStr

from mlq.cli import main
from mlq.db.copies import dump
from mlq.service import secrets as service
from mlq.service.vault import open_vault
from mlq.settings import Settings
from tests.integration.api.conftest import Api

VALUE = "hunter2-and-more"
JOB = {"type": "command", "command": "true", "secrets": ["API_KEY"]}


def test_a_secret_is_set_listed_used_and_deleted(api: Api, client: httpx.Client) -> None:
    refused = client.post("/v1/jobs", json=JOB)
    assert refused.status_code == 422
    (problem,) = refused.json()["problems"]
    assert (problem["path"], "mlq secret set API_KEY" in problem["message"]) == ("secrets", True)
    for value in ("first-value", VALUE):
        answer = client.put("/v1/secrets/API_KEY", json={"value": value})
        assert answer.status_code == 204, answer.text
    (listed,) = client.get("/v1/secrets").json()["items"]
    assert (listed["name"], listed["set_by"]) == ("API_KEY", "admin")
    assert VALUE not in client.get("/v1/secrets").text
    job = client.post("/v1/jobs", json=JOB)
    assert job.status_code == 201
    with api.database.read() as conn:
        rows = "".join(dump(conn))
    assert VALUE not in rows
    assert '"secret.set"' in rows
    vault = open_vault(api.settings)
    with api.database.read() as conn:
        given = service.reveal(conn, job.json()["id"], ["API_KEY"], vault=vault)
    assert given == {"API_KEY": VALUE}
    assert client.delete("/v1/secrets/API_KEY").status_code == 204
    gone = client.delete("/v1/secrets/API_KEY")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    with (
        api.database.read() as conn,
        pytest.raises(Exception, match="no secret 'API_KEY' any more"),
    ):
        service.reveal(conn, job.json()["id"], ["API_KEY"], vault=vault)


def test_steps_trials_and_components_name_their_secrets(client: httpx.Client) -> None:
    component = {"command": "true", "secrets": ["IN_COMPONENT"]}
    sweep = {
        "type": "sweep",
        "trial": {"command": "true ${{search_space.x}}", "secrets": ["IN_TRIAL"]},
        "search_space": {"x": {"type": "choice", "values": [1, 2]}},
        "sampling_algorithm": "grid",
        "objective": {"primary_metric": "m", "goal": "minimize"},
    }
    document = {"type": "pipeline", "jobs": {"a": {"component": component}, "b": sweep}}
    problems = client.post("/v1/jobs", json=document).json()["problems"]
    assert {problem["path"] for problem in problems} == {"jobs.a.secrets", "jobs.b.trial"}
    for name in ("IN_COMPONENT", "IN_TRIAL"):
        client.put(f"/v1/secrets/{name}", json={"value": VALUE})
    assert client.post("/v1/jobs", json=document).status_code == 201


@pytest.mark.parametrize(
    ("name", "value"),
    [("1A", VALUE), ("A-B", VALUE), ("A", "abc"), ("A", "x" * 40_000), ("A" * 129, VALUE)],
)
def test_what_cannot_be_one_is_refused(client: httpx.Client, name: str, value: str) -> None:
    answer = client.put(f"/v1/secrets/{name}", json={"value": value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert value not in answer.text


def test_a_viewer_sees_names_and_sets_nothing(api: Api) -> None:
    viewer = api.as_role("viewer")
    assert viewer.get("/v1/secrets").json()["items"] == []
    assert viewer.put("/v1/secrets/A", json={"value": VALUE}).status_code == 403
    assert viewer.delete("/v1/secrets/A").status_code == 403


def test_a_project_has_secrets_of_its_own(api: Api, client: httpx.Client) -> None:
    for project in ("ours", "theirs"):
        client.post("/v1/projects", json={"name": project})
    ours, theirs = {"Mlq-Project": "ours"}, {"Mlq-Project": "theirs"}
    client.put("/v1/secrets/API_KEY", json={"value": "of ours"}, headers=ours)
    assert client.get("/v1/secrets", headers=theirs).json()["items"] == []
    assert client.get("/v1/secrets").json()["items"] == []
    assert client.delete("/v1/secrets/API_KEY", headers=theirs).status_code == 404
    assert client.post("/v1/jobs", json=JOB, headers=theirs).status_code == 422
    client.put("/v1/secrets/API_KEY", json={"value": "of theirs"}, headers=theirs)
    for headers, value in ((ours, "of ours"), (theirs, "of theirs")):
        job = client.post("/v1/jobs", json=JOB, headers=headers).json()["id"]
        with api.database.read() as conn:
            given = service.reveal(conn, job, ["API_KEY"], vault=open_vault(api.settings))
        assert given == {"API_KEY": value}
    unknown = client.put("/v1/secrets/A", json={"value": VALUE}, headers={"Mlq-Project": "nobodys"})
    assert unknown.status_code == 404


def test_a_key_that_others_were_not_set_with_is_refused(
    api: Api, client: httpx.Client, settings: Settings
) -> None:
    client.put("/v1/secrets/API_KEY", json={"value": VALUE})
    job = client.post("/v1/jobs", json=JOB).json()["id"]
    other = settings.model_copy(update={"secret_key": SecretStr("A" * 43 + "=")})
    with api.database.read() as conn, pytest.raises(Exception, match="this worker does not have"):
        service.reveal(conn, job, ["API_KEY"], vault=open_vault(other))
    api.app.state.server.settings = other
    answer = client.put("/v1/secrets/SECOND", json={"value": VALUE})
    assert (answer.status_code, answer.json()["code"]) == (409, "other_secret_key")


def test_the_command_line_reads_the_value_from_stdin(
    api: Api,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLQ_API_URL", api.url)
    monkeypatch.setenv("MLQ_TOKEN", client.headers["authorization"].partition(" ")[2])
    monkeypatch.setattr(sys, "stdin", io.StringIO(VALUE + "\n"))
    assert main(["secret", "set", "API_KEY"]) == 0
    assert main(["secret", "list"]) == 0
    said = capsys.readouterr()
    assert VALUE not in said.out + said.err
    assert said.out.splitlines()[-1].split() == ["API_KEY", "admin", "just", "now"]
    assert main(["secret", "delete", "API_KEZ"]) == 5
    assert "Did you mean 'API_KEY'?" in capsys.readouterr().err
    assert main(["secret", "delete", "API_KEY"]) == 0
    assert main(["secret", "list"]) == 0
    assert "No secrets." in "".join(capsys.readouterr())

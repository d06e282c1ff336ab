"""The console's files: where they are served, and with what address inside."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from mlq_api import console, problems

_BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
_DOCUMENT = (
    '<meta name="mlq-root" content=""><script src="./assets/index-abc.js"></script>'
    '<link href="./assets/index-def.css">'
)


def _client(root_path: str = "") -> TestClient:
    app = FastAPI(root_path=root_path)
    problems.install(app)
    app.include_router(console.router)
    console.install(app)
    return TestClient(app)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(_DOCUMENT)
    (tmp_path / "assets" / "index-abc.js").write_text("start()")
    monkeypatch.setattr(console, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("root", ["", "/some/prefix"])
def test_the_document_names_its_files_below_the_prefix(root: str) -> None:
    answer = _client(root).get(f"{root}/models/churn", headers=_BROWSER)
    assert answer.status_code == 200
    assert f'src="{root}/static/assets/index-abc.js"' in answer.text
    assert f'href="{root}/static/assets/index-def.css"' in answer.text
    assert f'name="mlq-root" content="{root}"' in answer.text


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("prefix", ["", "/some/prefix"])
def test_files_are_found_whether_the_proxy_takes_its_prefix_off_or_not(prefix: str) -> None:
    client = _client("/some/prefix")
    answer = client.get(f"{prefix}/static/assets/index-abc.js")
    assert (answer.status_code, answer.text) == (200, "start()")
    assert client.get(f"{prefix}/static/assets/../../console.py").status_code == 404


@pytest.mark.usefixtures("built")
def test_a_browser_that_is_astray_gets_the_console_and_others_a_problem() -> None:
    client = _client("/some/prefix")
    answer = client.get("/some/prefix/modles/churn", headers=_BROWSER)
    assert answer.status_code == 404
    assert 'src="/some/prefix/static/assets/index-abc.js"' in answer.text
    for given in ({"headers": {"accept": "application/json"}}, {}):
        refused = client.get("/modles/churn", **given)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert client.post("/modles/churn", headers=_BROWSER).status_code == 404
    assert client.post("/modles/churn", headers=_BROWSER).json()["code"] == "not_found"


@pytest.mark.usefixtures("built")
def test_scripts_of_this_server_run_and_no_others() -> None:
    answer = _client().get("/jobs", headers=_BROWSER)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.usefixtures("built")
def test_files_with_a_digest_in_their_name_are_kept_by_browsers() -> None:
    client = _client()
    answer = client.get("/static/assets/index-abc.js")
    assert (answer.status_code, answer.text) == (200, "start()")
    assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in client.get("/static/index.html").headers["cache-control"]


def test_large_files_are_sent_compressed(built: Path) -> None:
    script = "start();" * 1000
    (built / "assets" / "large.js").write_text(script)
    answer = _client().get("/static/assets/large.js", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == script


@pytest.mark.usefixtures("built")
def test_nothing_beside_the_folder_is_served(built: Path) -> None:
    (built.parent / "secret").write_text("token")
    assert _client().get("/static/..%2Fsecret").status_code == 404


def test_readers_that_are_no_browser_get_a_refusal_that_helps(built: Path) -> None:
    answer = _client().get("/workers", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "make console" in answer.json()["hint"]


def test_without_a_build_the_server_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "FOLDER", tmp_path / "never-built")
    client = _client()
    assert client.get("/workers", headers=_BROWSER).status_code == 404
    assert client.get("/static/assets/index-abc.js").status_code == 404

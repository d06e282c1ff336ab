"""Who gets in: every route is closed, and opens by role."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import update

from mlq.db.tables import tokens as token_rows
from mlq.db.types import now_plus
from mlq.service import tokens
from tests.integration.api.conftest import Api
from tests.servers import wait_until

OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login"), ("POST", "/login")}


def operations(api: Api) -> Iterator[tuple[str, str]]:
    for route in routes(api.app.routes):
        for method in sorted(route.methods):
            yield method, re.sub(r"\{[^}]+\}", "0" * 64, route.path)
    yield "GET", "/openapi.json"


def routes(found: object) -> Iterator[APIRoute]:
    for route in found:  # type: ignore[attr-defined]
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "routes"):
            yield from routes(route.routes)
        elif hasattr(route, "original_router"):
            yield from routes(route.original_router.routes)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Access is decided before the database matters: one kind will do."""
    return sqlite_url


def test_every_route_but_the_open_ones_needs_a_token(api: Api) -> None:
    seen = 0
    admin = api.as_role("admin")
    with api.database.write() as conn:
        expired, revoked = (
            tokens.create(conn, name=name, role="admin", actor="test", expires_in_s=60)
            for name in ("expired", "revoked")
        )
        tokens.revoke(conn, revoked.id, actor="test")
        shift = update(token_rows).where(token_rows.c.id == expired.id)
        conn.execute(shift.values(expires_at=now_plus(-1)))
    assert admin.get("/v1/whoami").status_code == 200
    wrong = [
        {},
        {"cookie": "mlq_session=wrong"},
        *(
            {"authorization": f"Bearer {token}"}
            for token in ("wrong", expired.token, revoked.token)
        ),
    ]
    with httpx.Client(base_url=api.url) as stranger:
        for method, path in operations(api):
            if (method, path) in OPEN:
                continue
            seen += 1
            for headers in wrong:
                answer = stranger.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path, headers)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    assert seen > 45


def test_every_unsafe_route_needs_more_than_a_viewer(api: Api) -> None:
    viewer = api.as_role("viewer")
    unsafe = [
        (method, path)
        for method, path in operations(api)
        if method not in {"GET", "HEAD"}
        and path not in {"/login", "/logout"}
        # predictions change nothing, hooks are signed
        and not path.startswith(("/v2/", "/endpoints/", "/v1/hooks/"))
    ]
    assert len(unsafe) > 15
    for method, path in unsafe:
        answer = viewer.request(method, path)
        assert answer.status_code == 403, (method, path)
        assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("DELETE", "/v1/tokens/x"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/doctor"),
    ],
)
def test_administration_needs_an_admin(api: Api, method: str, path: str) -> None:
    assert api.as_role("submitter").request(method, path).status_code == 403
    assert api.as_role("admin").request(method, path).status_code != 403


def test_unknown_paths_tell_strangers_nothing(api: Api) -> None:
    assert httpx.get(f"{api.url}/v1/nothing").status_code == 401
    answer = api.as_role("viewer").get("/v1/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


def test_tokens_are_made_used_and_revoked(api: Api) -> None:
    admin = api.as_role("admin")
    made = admin.post("/v1/tokens", json={"name": "ci", "role": "submitter", "expires_in_s": 60})
    assert made.status_code == 201
    token = made.json()["token"]
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{api.url}/v1/whoami", headers=headers).json() == {
        "name": "ci",
        "role": "submitter",
        "project": None,
    }
    listed = admin.get("/v1/tokens").json()["items"]
    assert {item["name"] for item in listed} == {"ci", "admin"}
    assert token not in str(listed)

    def is_noted() -> bool:  # beside the answer
        items = admin.get("/v1/tokens").json()["items"]
        return next(item for item in items if item["name"] == "ci")["last_used_at"] is not None

    wait_until(is_noted, what="the use of the token is noted")
    assert admin.delete(f"/v1/tokens/{made.json()['id']}").status_code == 204
    assert httpx.get(f"{api.url}/v1/whoami", headers=headers).status_code == 401
    kinds = [item["kind"] for item in admin.get("/v1/audit").json()["items"]]
    assert kinds[:2] == ["token.revoke", "token.create"]


def test_the_last_admin_stays(api: Api) -> None:
    admin = api.as_role("admin")
    own = next(item for item in admin.get("/v1/tokens").json()["items"] if item["role"] == "admin")
    assert admin.delete(f"/v1/tokens/{own['id']}").status_code == 409
    assert admin.get("/v1/whoami").status_code == 200


def test_a_login_link_works_once_and_its_cookie_stays_at_home(api: Api) -> None:
    from mlq.service import tokens

    with api.database.write() as conn:
        link = tokens.create_login(conn, name="mlq up", role="admin", actor="mlq up")
    with httpx.Client(base_url=api.url) as browser:
        bearer = {"authorization": f"Bearer {link.token}"}
        assert browser.get("/v1/whoami", headers=bearer).status_code == 401
        answer = browser.get("/login", params={"token": link.token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert browser.get("/v1/whoami").json()["role"] == "admin"
        assert browser.get("/").status_code == 200

        # Another site can make a browser send the cookie, but not our Origin.
        for origin in ({}, {"origin": "http://evil.example"}, {"origin": "null"}):
            answer = browser.post("/v1/endpoints", json={"name": "x"}, headers=origin)
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
        answer = browser.post("/v1/endpoints", json={"name": "x"}, headers={"origin": api.url})
        assert answer.status_code == 201

        assert browser.post("/logout", headers={"origin": api.url}).status_code == 303
        assert browser.get("/v1/whoami").status_code == 401
    with httpx.Client(base_url=api.url) as second:
        assert second.get("/login", params={"token": link.token}).status_code == 401


def test_login_leads_nowhere_else(api: Api) -> None:
    for target in ("//evil.example", "https://evil.example", "/\\evil.example"):
        with httpx.Client(base_url=api.url) as browser:
            token = api.as_role("viewer").headers["authorization"].removeprefix("Bearer ")
            answer = browser.post("/login", params={"next": target}, data={"token": token})
            assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_browsers_are_sent_to_the_login(api: Api) -> None:
    answer = httpx.get(f"{api.url}/jobs/abc", headers={"accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/jobs/abc")


def test_other_host_names_are_refused(api: Api) -> None:
    for host in ("evil.example", "evil.example:80", ""):
        answer = api.as_role("admin").get("/v1/whoami", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "rejected_host")
    answer = api.as_role("admin").get("/v1/whoami", headers={"host": "localhost:9"})
    assert answer.status_code == 200


def test_pages_and_answers_carry_security_headers(api: Api) -> None:
    for path in ("/healthz", "/login", "/v1/jobs", "/nowhere"):
        headers = api.as_role("viewer").get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_the_openapi_document_is_complete(api: Api) -> None:
    document = api.as_role("viewer").get("/openapi.json").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            good = {code: one for code, one in operation["responses"].items() if code[0] in "23"}
            assert good, where
            if {"204", "307"} & set(good):
                continue
            answers = [answer for one in good.values() for answer in one["content"].values()]
            assert all("schema" in answer and "example" in answer for answer in answers), where

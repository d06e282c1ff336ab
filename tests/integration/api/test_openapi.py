"""Whatever the OpenAPI document allows and forbids, no operation answers with a fault of ours.

Nor with anything to whom it does not know. `make test-all` tries more of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.api.conftest import Api

#: Streams have no end, and what these pass on is not ours.
_SKIPPED = {"/v1/events", "/flower/{path}", "/v2", "/v2/{path}", "/endpoints/{name}/score"}
_EXAMPLES = 40 if os.environ.get("MLQ_TEST_ALL") else 4
_STRANGERS: tuple[Mapping[str, str], ...] = (
    {},
    {"authorization": "Bearer mlq_0000000000000000000000000000000000000000000"},
    {"authorization": "Basic YWRtaW46YWRtaW4="},
    {"cookie": "mlq_session=0000000000000000000000000000000000000000000"},
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def _operations(api: Api) -> list[Any]:
    document = api.as_role("admin").get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 100
    return operations


def test_nothing_a_client_sends_is_a_fault_of_the_server(api: Api) -> None:
    headers = {"authorization": api.as_role("admin").headers["authorization"]}

    def send(case: Any) -> None:
        response = case.call(base_url=api.url, headers=headers)
        assert response.status_code < 500 or response.status_code == 503, (
            case.method,
            case.formatted_path,
            response.text,
        )

    for operation in _operations(api):
        if operation.path not in _SKIPPED:
            _try_some(operation, send, examples=_EXAMPLES)


def test_strangers_get_nothing(api: Api) -> None:
    """By no operation, but for those that the document declares open."""
    is_open = {"/healthz", "/readyz"}
    for operation in _operations(api):
        raw = operation.definition.raw
        assert (raw.get("security") == []) == (operation.path in is_open), operation.label
        for headers in _STRANGERS:

            def send(case: Any, headers: Mapping[str, str] = headers) -> None:
                response = case.call(base_url=api.url, headers=headers)
                told = (case.method, case.formatted_path, dict(headers), response.status_code)
                if case.operation.path in is_open:
                    assert response.status_code in (200, 400, 405, 503), told
                else:
                    assert 400 <= response.status_code < 500, told

            _try_some(operation, send, examples=max(1, _EXAMPLES // 4))
    # what they sent has changed nothing
    admin: httpx.Client = api.as_role("admin")
    for path in ("/v1/jobs", "/v1/data", "/v1/models", "/v1/endpoints", "/v1/schedules"):
        assert admin.get(path).json()["items"] == []


def _try_some(operation: Any, send: Callable[[Any], None], *, examples: int) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any) -> None:
        send(case)

    run()

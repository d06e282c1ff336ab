"""Whatever the OpenAPI document allows and forbids, no operation answers with a fault of ours."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.api.conftest import Api

#: Streams have no end, and what these pass on is not ours.
_SKIPPED = {"/v1/events", "/flower/{path}", "/v2", "/v2/{path}", "/endpoints/{name}/score"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def test_nothing_a_client_sends_is_a_fault_of_the_server(api: Api) -> None:
    client = api.as_role("admin")
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    operations = [
        found.ok() for found in schema.get_all_operations() if found.ok().path not in _SKIPPED
    ]
    assert len(operations) > 40
    for operation in operations:
        _send_some(operation, api.url, client.headers["authorization"])


def _send_some(operation: Any, url: str, authorization: str) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=4,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        response = case.call(base_url=url, headers={"authorization": authorization})
        assert response.status_code < 500 or response.status_code == 503, (
            case.method,
            case.formatted_path,
            response.text,
        )

    send()

"""Every route says what it asks of its caller, and the middleware agrees."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from mlq.settings import Settings
from mlq_api import access
from mlq_api.app import create_app
from mlq_api.auth import OPEN_PATHS, OPEN_PREFIXES, SAFE_METHODS, VIEWER_PATHS

#: What FastAPI and Starlette make themselves: the document, and the built console's files.
UNDECLARED = {"/openapi.json", "/static"}


def _flat(found: list[object], prefix: str = "") -> Iterator[object]:
    for route in found:
        below = getattr(route, "original_router", None)
        if below is not None:
            yield from _flat(below.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]
        elif prefix and isinstance(route, APIRoute):
            route = copy(route)
            route.path = prefix + route.path
            yield route
        else:
            yield route


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """The routes of an application that has connected to nothing yet."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, broker_url="redis://127.0.0.1:1/0", artifact_url=str(home / "a"))
    return list(_flat(create_app(settings).routes))


def _declared(route: APIRoute) -> set[object]:
    return {one.dependency for one in route.dependencies} & set(access.DECLARATIONS)


def test_every_route_declares_who_may_call_it(routes: list[object]) -> None:
    seen = 0
    for route in routes:
        if isinstance(route, APIRoute):
            seen += 1
            assert _declared(route), (
                f"{route.path} says nothing about who may call it: give its router or the route "
                "one of the dependencies of mlq_api.access, such as dependencies=[BY_METHOD]."
            )
        else:
            assert isinstance(route, Route | Mount)
            assert route.path in UNDECLARED, route.path
    assert seen > 60


def test_what_is_declared_is_what_the_middleware_does(routes: list[object]) -> None:
    for route in routes:
        if not isinstance(route, APIRoute):
            continue
        declared = _declared(route)
        example = route.path.replace("{name}", "x").replace("{path:path}", "x")
        assert (access.open_to_all in declared) == (route.path in OPEN_PATHS), route.path
        is_signed = access.by_signature in declared
        assert is_signed == route.path.startswith(OPEN_PREFIXES), route.path
        if route.methods <= SAFE_METHODS or is_signed:
            continue
        if access.open_to_all not in declared:
            is_for_viewers = VIEWER_PATHS.fullmatch(example) is not None
            assert (access.by_viewers in declared) == is_for_viewers, route.path


def test_an_address_of_an_object_keeps_other_projects_away(routes: list[object]) -> None:
    seen = 0
    for route in routes:
        for prefix, dependency in access.OBJECTS.items():
            if isinstance(route, APIRoute) and f"{route.path}/".startswith(f"{prefix}/"):
                seen += 1
                assert dependency in _declared(route), (
                    f"{route.path} names an object of a project: give its router or the route "
                    f"the dependency of mlq_api.access.OBJECTS[{prefix!r}]."
                )
    assert seen > 40


def test_a_route_without_a_declaration_is_found(routes: list[object], tmp_path: Path) -> None:
    async def nobody() -> None: ...

    assert not _declared(APIRoute("/v1/new", nobody))

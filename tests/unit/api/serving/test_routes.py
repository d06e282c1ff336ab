from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from mlq.db.routing import Route, Routing, Target
from mlq.errors import NotFoundError, UnavailableError
from mlq_api.serving import routes

V1, V2, V3 = (Target("churn", number, f"{number:064x}") for number in (1, 2, 3))
TABLE = Routing(
    number=1,
    aliases={("churn", "production"): V1, ("churn", "staging"): V2},
    newest={"churn": V3},
    endpoints={"shop": Route({"production": 90, "staging": 10}, {"production": V1, "staging": V2})},
)


def loaded(*targets: Target) -> Callable[[Target], bool]:
    return lambda target: target in targets


def test_a_name_alone_is_production_else_the_newest() -> None:
    assert routes.find_alias(TABLE, "churn", None) == V1
    assert routes.find_alias(replace(TABLE, aliases={}), "churn", None) == V3
    assert routes.find_alias(TABLE, "churn", "staging") == V2
    assert routes.find_alias(TABLE, "churn", "latest") == V3


def test_what_is_not_there_names_the_nearest() -> None:
    for model, alias in (("chrun", None), ("churn", "stagin")):
        with pytest.raises(NotFoundError) as missing:
            routes.find_alias(TABLE, model, alias)
        assert "Did you mean" in missing.value.hint
    with pytest.raises(NotFoundError) as endpoint:
        routes.choose(TABLE, "shp", deployment=None, random=lambda: 0.0)
    assert "'shop'" in endpoint.value.hint
    with pytest.raises(NotFoundError) as deployment:
        routes.choose(TABLE, "shop", deployment="blue", random=lambda: 0.0)
    assert "production, staging" in deployment.value.hint


def test_traffic_is_split_by_weight() -> None:
    drawn = Counter(
        routes.choose(TABLE, "shop", deployment=None, random=lambda n=n: n / 1000)[0]
        for n in range(1000)
    )
    assert drawn == {"production": 900, "staging": 100}


def test_a_deployment_asked_for_answers_without_traffic() -> None:
    off = replace(TABLE, endpoints={"shop": Route({}, {"staging": V2})})
    assert routes.choose(off, "shop", deployment="staging", random=lambda: 0.0) == ("staging", V2)
    with pytest.raises(UnavailableError) as nothing:
        routes.choose(off, "shop", deployment=None, random=lambda: 0.99)
    assert nothing.value.code == "no_traffic"


MOVED = Routing(
    number=2,
    aliases={("churn", "production"): V3, ("churn", "new"): V2},
    newest={"churn": V3},
    endpoints={"shop": Route({"production": 100}, {"production": V3, "staging": V2})},
)


def test_what_is_in_use_waits_for_its_successor() -> None:
    is_loaded = loaded(V1, V2)
    assert routes.wanted(TABLE, MOVED, is_loaded=is_loaded) == [V3]
    before = routes.settle(TABLE, MOVED, is_loaded=is_loaded)
    assert before.aliases == {("churn", "production"): V1, ("churn", "new"): V2}
    assert before.endpoints["shop"].targets == {"production": V1, "staging": V2}
    assert before.endpoints["shop"].traffic == {"production": 100}
    assert routes.settle(TABLE, MOVED, is_loaded=loaded(V1, V2, V3)) == MOVED


def test_what_nobody_uses_moves_at_once() -> None:
    is_loaded = loaded()
    assert routes.settle(TABLE, MOVED, is_loaded=is_loaded).aliases == MOVED.aliases
    bare = replace(MOVED, endpoints={})
    assert routes.wanted(TABLE, bare, is_loaded=is_loaded) == []


def test_traffic_stays_where_it_was_until_the_new_deployment_is_warm() -> None:
    new = replace(
        TABLE,
        endpoints={"shop": Route({"blue": 100}, {"production": V1, "staging": V2, "blue": V3})},
    )
    before = routes.settle(TABLE, new, is_loaded=loaded(V1, V2))
    assert before.endpoints["shop"].traffic == {"production": 90, "staging": 10}
    after = routes.settle(TABLE, new, is_loaded=loaded(V1, V2, V3))
    assert after.endpoints["shop"].traffic == {"blue": 100}


def test_traffic_taken_off_is_off_at_once() -> None:
    new = replace(TABLE, endpoints={"shop": Route({}, {"production": V3})})
    assert routes.settle(TABLE, new, is_loaded=loaded(V1, V2)).endpoints["shop"].traffic == {}


def test_what_was_removed_is_gone_at_once() -> None:
    new = Routing(number=2, aliases={}, newest={"churn": V3}, endpoints={})
    settled = routes.settle(TABLE, new, is_loaded=loaded(V1, V2))
    assert (settled.aliases, settled.endpoints) == ({}, {})


def test_a_new_version_is_not_loaded_where_production_answers_for_the_name() -> None:
    new = replace(TABLE, newest={"churn": Target("churn", 4, "4" * 64)})
    is_loaded = loaded(V1, V2, V3)
    assert routes.wanted(TABLE, new, is_loaded=is_loaded) == []
    assert routes.settle(TABLE, new, is_loaded=is_loaded).newest == new.newest
    bare, newer = replace(TABLE, aliases={}), replace(new, aliases={})
    assert routes.wanted(bare, newer, is_loaded=is_loaded) == list(newer.newest.values())
    assert routes.settle(bare, newer, is_loaded=is_loaded).newest == TABLE.newest


def test_a_session_keeps_its_deployment_and_sessions_follow_traffic() -> None:
    def drawn(session: str) -> str:
        def no_draw() -> float:
            raise AssertionError("a session is not drawn")

        return routes.choose(TABLE, "shop", deployment=None, random=no_draw, session=session)[0]

    names = [drawn(f"session-{number}") for number in range(2000)]
    assert names == [drawn(f"session-{number}") for number in range(2000)]
    assert 150 < names.count("staging") < 250


def test_copies_are_drawn_by_their_percent() -> None:
    route = replace(TABLE.endpoints["shop"], mirror={"staging": 30, "gone": 100})
    table = replace(TABLE, endpoints={"shop": route})
    draws = iter([n / 10 for n in range(10)])
    drawn = [routes.mirrors(table, "shop", random=lambda: next(draws)) for _ in range(10)]
    assert drawn == [[("staging", V2)]] * 3 + [[]] * 7
    assert routes.mirrors(TABLE, "shop", random=lambda: 0.0) == []
    assert routes.settle(TABLE, table, is_loaded=loaded(V1, V2)).endpoints["shop"].mirror

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlq.db import events, routing
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.errors import ConflictError, MlqError, NotFoundError
from mlq.ids import new_id
from mlq.service import endpoints, models


def promote(database: Database, *versions: int | str, alias: str = "production") -> None:
    for version in versions:
        with database.write() as conn:
            models.set_alias(conn, name="churn", alias=alias, version=version, actor="ann")


def roll_back(database: Database, to: int | None = None) -> int | None:
    with database.write() as conn:
        return models.rollback(conn, name="churn", to=to, actor="ann", reason="worse").version


def number(database: Database) -> int:
    with database.read() as conn:
        return routing.read_number(conn)


def test_versions_count_up_and_keep_what_they_were_given(database: Database) -> None:
    job_id = new_id()
    before = number(database)
    with database.write() as conn:
        first = models.register(
            conn,
            name="churn",
            digest="a" * 64,
            size_bytes=9,
            job_id=job_id,
            metrics={"roc_auc": 0.9, "f1": math.nan},
            report={"rows": 10, "gap": [math.inf]},
            description="first",
            actor="ann",
        )
        second = models.register(conn, name="churn", digest="a" * 64, size_bytes=9, actor="ann")
    assert (first.version, second.version) == (1, 2)
    assert first.uri == "models:/churn/1"
    assert (first.job_id, first.description, first.created_by) == (job_id, "first", "ann")
    assert first.metrics == {"roc_auc": 0.9, "f1": None}
    assert first.report == {"rows": 10, "gap": [None]}
    assert number(database) > before
    with database.read() as conn:
        model = models.find(conn, "churn")
        assert (model.latest_version, dict(model.aliases)) == (2, {})
        assert [one.version for one in models.list_versions(conn, "churn")] == [2, 1]
        assert [one.version for one in models.list_versions(conn, "churn", before=2)] == [1]
        assert [one.name for one in models.list_models(conn)] == ["churn"]
        assert models.list_models(conn, after="churn") == []


def test_a_registration_that_fails_leaves_no_hole(database: Database, churn: str) -> None:
    def fail() -> None:
        with database.write() as conn:
            models.register(conn, name=churn, digest="d" * 64, size_bytes=1, actor="ann")
            raise RuntimeError("the job's outcome did not commit")

    with pytest.raises(RuntimeError):
        fail()
    with database.write() as conn:
        version = models.register(conn, name=churn, digest="d" * 64, size_bytes=1, actor="ann")
    assert version.version == 4


def test_a_race_for_the_next_version_has_no_hole_and_no_double(database: Database) -> None:
    threads, each = 6, 5
    start = threading.Barrier(threads)

    def run(place: int) -> list[int]:
        start.wait()
        return [
            database.transact(
                models.register,
                name="churn",
                digest=f"{turn:064x}",
                size_bytes=1,
                actor=f"worker {place}",
            ).version
            for turn in range(each)
        ]

    with ThreadPoolExecutor(threads) as pool:
        made = sorted(version for found in pool.map(run, range(threads)) for version in found)
    assert made == list(range(1, threads * each + 1))


def test_promotions_racing_each_other_leave_a_chain(database: Database, churn: str) -> None:
    start = threading.Barrier(3)

    def run(version: int) -> None:
        start.wait()
        for turn in range(4):
            database.transact(
                models.set_alias,
                name=churn,
                alias="production",
                version=(version + turn) % 3 + 1,
                actor="ann",
            )

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, (1, 2, 3)))
    with database.read() as conn:
        moves = models.history(conn, churn)[::-1]
        current = models.find(conn, churn).aliases["production"]
    assert moves[0].previous is None
    assert [one.previous for one in moves[1:]] == [one.version for one in moves[:-1]]
    assert moves[-1].version == current


def test_rollback_walks_back_one_move_at_a_time(database: Database, churn: str) -> None:
    promote(database, 1, 2, 3)
    assert roll_back(database) == 2
    assert roll_back(database) == 1
    with pytest.raises(ConflictError) as nothing:
        roll_back(database)
    assert nothing.value.code == "nothing_before"
    assert "2, 3" in nothing.value.hint
    with database.read() as conn:
        assert models.find(conn, churn).aliases == {"production": 1}


def test_rollback_returns_to_what_was_not_to_the_number_below(
    database: Database, churn: str
) -> None:
    promote(database, 3, 1, 2)
    assert roll_back(database) == 1
    assert roll_back(database) == 3


def test_a_promotion_after_a_rollback_starts_a_new_branch(database: Database, churn: str) -> None:
    promote(database, 1, 2)
    assert roll_back(database) == 1
    promote(database, 3)
    assert roll_back(database) == 1
    promote(database, 2)  # the undo of a rollback is a promotion
    assert roll_back(database) == 1
    with pytest.raises(ConflictError):
        roll_back(database)


def test_a_version_may_be_production_twice(database: Database, churn: str) -> None:
    promote(database, 1, 2, 1)
    assert roll_back(database) == 2
    assert roll_back(database) == 1
    with pytest.raises(ConflictError):
        roll_back(database)


def test_rollback_to_an_earlier_version_skips_what_came_between(
    database: Database, churn: str
) -> None:
    promote(database, 1, 2, 3)
    assert roll_back(database, to=1) == 1
    with pytest.raises(ConflictError):
        roll_back(database)
    assert roll_back(database, to=3) == 3  # it was production, so it may be so again
    assert roll_back(database) == 1
    with pytest.raises(ConflictError):
        roll_back(database, to=1)
    with pytest.raises(NotFoundError):
        roll_back(database, to=9)


def test_rollback_undoes_a_removal(database: Database, churn: str) -> None:
    promote(database, 1, 2)
    with database.write() as conn:
        moved = models.remove_alias(conn, name=churn, alias="production", actor="ann")
    assert (moved.version, moved.previous) == (None, 2)
    with database.read() as conn:
        assert models.find(conn, churn).aliases == {}
    assert roll_back(database) == 2
    assert roll_back(database) == 1


def test_every_move_is_audited_with_who_and_why(database: Database, churn: str) -> None:
    promote(database, 1, 2)
    before = number(database)
    roll_back(database)
    assert number(database) > before
    with database.read() as conn:
        newest = models.history(conn, churn, alias="production")[0]
        told = [one for one in events.read_after(conn, Cursor()) if one.kind == "model.rollback"]
    assert (newest.act, newest.version, newest.previous) == ("rollback", 1, 2)
    assert (newest.actor, newest.reason) == ("ann", "worse")
    assert [(one.subject, one.actor) for one in told] == [("models:/churn", "ann")]
    assert told[0].detail == {
        "alias": "production",
        "version": 1,
        "previous": 2,
        "reason": "worse",
    }


def test_a_promotion_to_where_it_stands_writes_nothing(database: Database, churn: str) -> None:
    promote(database, 2)
    before = number(database)
    with database.write() as conn:
        moved = models.set_alias(conn, name=churn, alias="production", version=2, actor="ann")
    assert not moved.changed
    assert number(database) == before
    with database.read() as conn:
        assert len(models.history(conn, churn)) == 1


def test_a_version_may_be_named_by_alias_or_latest(database: Database, churn: str) -> None:
    promote(database, 2, alias="staging")
    promote(database, "staging")
    promote(database, "latest", alias="newest")
    with database.read() as conn:
        assert models.find(conn, churn).aliases == {"newest": 3, "production": 2, "staging": 2}
        assert models.find_version(conn, churn, version=2).aliases == ("production", "staging")


def test_an_alias_that_reads_as_a_version_is_refused(database: Database, churn: str) -> None:
    for alias in ("latest", "3", "v3", "", "a b", "x" * 65, "-x"):
        with pytest.raises(MlqError) as refused:
            promote(database, 1, alias=alias)
        assert refused.value.code == "invalid", alias


def test_what_is_not_there_names_the_nearest(database: Database, churn: str) -> None:
    promote(database, 1)
    with database.write() as conn:
        with pytest.raises(NotFoundError) as model:
            models.find(conn, "chrun")
        assert "'churn'" in model.value.hint
        with pytest.raises(NotFoundError) as version:
            models.set_alias(conn, name=churn, alias="production", version=9, actor="ann")
        assert "models:/churn/3" in version.value.hint
        with pytest.raises(NotFoundError) as alias:
            models.find_version(conn, churn, version="producton")
        assert "'production'" in alias.value.hint
        for name, missing in ((churn, "staging"), ("nothing", "production")):
            with pytest.raises(NotFoundError):
                models.rollback(conn, name=name, alias=missing, actor="ann")
            with pytest.raises(NotFoundError):
                models.remove_alias(conn, name=name, alias=missing, actor="ann")


def test_an_alias_that_a_deployment_follows_cannot_be_removed(
    database: Database, churn: str
) -> None:
    with database.write() as conn:
        endpoints.deploy(
            conn, model="models:/churn/1", endpoint="shop", alias="staging", actor="ann"
        )
        with pytest.raises(ConflictError) as refused:
            models.remove_alias(conn, name=churn, alias="staging", actor="ann")
    assert "'shop'" in refused.value.message


def test_a_description(database: Database, churn: str) -> None:
    with database.write() as conn:
        assert models.describe(conn, churn, description="who leaves", actor="ann").description == (
            "who leaves"
        )


def test_the_longest_name_fits_everywhere(database: Database) -> None:
    name = "x" * 255
    with database.write() as conn:
        models.register(conn, name=name, digest="a" * 64, size_bytes=1, actor="ann")
        endpoints.deploy(
            conn, model=f"models:/{name}/1", endpoint=name, alias="production", actor="ann"
        )
        assert endpoints.find(conn, name).traffic == {"production": 100}


def test_after_a_rollback_only_people_move_the_alias(database: Database, churn: str) -> None:
    promote(database, 1)
    promote(database, 2)
    roll_back(database)
    with pytest.raises(ConflictError) as caught, database.write() as conn:
        models.set_alias(conn, name=churn, alias="production", version=3, actor="ci", act="deploy")
    assert caught.value.code == "promotion_paused"
    assert "worse" in caught.value.message
    promote(database, 3)  # a person may
    with database.write() as conn:
        assert set(models.list_holds(conn, churn)) == {"production"}
        assert models.resume(conn, name=churn, actor="ann")
        assert not models.resume(conn, name=churn, actor="ann")
        models.set_alias(conn, name=churn, alias="production", version=2, actor="ci", act="deploy")


def test_a_rollback_is_undone_once(database: Database, churn: str) -> None:
    promote(database, 1)
    promote(database, 2)
    roll_back(database)
    with database.write() as conn:
        moved = models.undo_rollback(conn, name=churn, actor="ann")
        assert (moved.version, moved.previous) == (2, 1)
        assert not models.list_holds(conn, churn)
    with pytest.raises(ConflictError) as caught, database.write() as conn:
        models.undo_rollback(conn, name=churn, actor="ann")
    assert caught.value.code == "nothing_to_undo"
    assert roll_back(database) == 1  # and can be rolled back again


def test_a_move_names_the_endpoints_it_reaches(database: Database, churn: str) -> None:
    with database.write() as conn:
        endpoints.deploy(
            conn, model="models:/churn/1", endpoint="shop", alias="production", actor="ann"
        )
        moved = models.set_alias(conn, name=churn, alias="production", version=2, actor="ann")
        assert moved.endpoints == (("shop", "production"),)
        back = models.rollback(conn, name=churn, actor="ann")
    assert back.endpoints == (("shop", "production"),)
    assert back.is_held

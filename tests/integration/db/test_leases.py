"""Duties: one holder, handed over when it is silent or gives up."""

from __future__ import annotations

from mlq.db import leases
from mlq.db.engine import Database
from mlq.db.leases import Lease
from tests.integration.db.queue import race


def hold(database: Database, holder: str, *, lease_s: float = 30) -> Lease | None:
    return database.transact(leases.hold, "duty", holder=holder, lease_s=lease_s)


def test_one_holds_and_renews(database: Database) -> None:
    assert hold(database, "a") == Lease(1, is_new=True)
    assert hold(database, "a") == Lease(1, is_new=False)
    assert hold(database, "b") is None


def test_a_silent_holder_is_followed(database: Database) -> None:
    hold(database, "a", lease_s=-1)
    assert hold(database, "b") == Lease(2, is_new=True)
    assert hold(database, "a") is None


def test_a_late_holder_that_nobody_followed_goes_on(database: Database) -> None:
    hold(database, "a", lease_s=-1)
    assert hold(database, "a") == Lease(1, is_new=False)


def test_giving_up_lets_another_take_it_at_once(database: Database) -> None:
    hold(database, "a")
    with database.write() as conn:
        leases.release(conn, "duty", holder="b")  # not its own
    assert hold(database, "b") is None
    with database.write() as conn:
        leases.release(conn, "duty", holder="a")
    assert hold(database, "b") == Lease(2, is_new=True)


def test_of_eight_one_takes_it(database: Database) -> None:
    for _ in range(2):  # the row is made by the first round and expired in the second
        taken = race(*[lambda name=name: hold(database, name) for name in "abcdefgh"])
        held = [lease for lease in taken if lease is not None]
        assert len(held) == 1
        assert isinstance(held[0], Lease)
        assert held[0].is_new
        with database.write() as conn:
            leases.release(conn, "duty", holder="abcdefgh"[taken.index(held[0])])

from __future__ import annotations

from mlq.errors import TooManyFailuresError, UnauthorizedError
from mlq_api.failed_logins import FailedLogins

UNKNOWN = UnauthorizedError("This token is not known.")


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def retry_after(failed: FailedLogins, address: str) -> int:
    """Fail once more; seconds to wait, 0 for an ordinary refusal."""
    said = failed.count({"client": (address, 4711)}, UNKNOWN)
    return said.retry_after_s if isinstance(said, TooManyFailuresError) else 0


def test_an_address_that_fails_too_often_is_told_when_to_come_again() -> None:
    clock = Clock()
    failed = FailedLogins(per_minute=6, clock=clock)
    assert [retry_after(failed, "192.0.2.1") for _ in range(8)] == [0] * 6 + [10, 10]
    assert retry_after(failed, "192.0.2.2") == 0, "another address"
    clock.now += 9
    assert retry_after(failed, "192.0.2.1") == 1
    clock.now += 1
    assert [retry_after(failed, "192.0.2.1") for _ in range(2)] == [0, 10]
    clock.now += 60
    assert [retry_after(failed, "192.0.2.1") for _ in range(7)] == [0] * 6 + [10]


def test_a_host_gains_nothing_from_its_many_ipv6_addresses() -> None:
    failed = FailedLogins(per_minute=2, clock=Clock())
    assert [retry_after(failed, f"2001:db8::{number}") for number in (1, 2, 3)] == [0, 0, 30]
    assert retry_after(failed, "2001:db8:0:1::1") == 0
    assert [retry_after(failed, host) for host in ("192.0.2.1", "::ffff:192.0.2.1")] == [0, 0]
    assert retry_after(failed, "192.0.2.1") == 30, "the same host, written otherwise"


def test_many_addresses_cannot_fill_the_memory() -> None:
    failed = FailedLogins(per_minute=1, clock=Clock())
    for number in range(FailedLogins.SIZE + 50):
        retry_after(failed, f"10.0.{number >> 8}.{number & 255}")
    assert len(failed._free_at) == FailedLogins.SIZE
    assert retry_after(failed, "10.0.16.0") > 0, "the newest are still known"

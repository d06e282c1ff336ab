"""How often an address may fail to log in, so that nobody tries tokens as fast as the network goes.

A token that is good is never refused for it: whoever shares an address with a guesser goes on.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import Scope

from mlq.errors import TooManyFailuresError, UnauthorizedError

_WINDOW_S = 60.0


class FailedLogins:
    """Counts failures by address. Once `per_minute` came at a time, they are spread over time.

    Per address one number is kept: the moment from which a full burst is free again (the generic
    cell rate algorithm). Of more than SIZE addresses, those that failed longest ago are forgotten.
    """

    SIZE = 4096

    def __init__(self, *, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = _WINDOW_S / per_minute
        self._clock = clock
        self._free_at: OrderedDict[str, float] = OrderedDict()

    def count(self, scope: Scope, error: UnauthorizedError) -> UnauthorizedError:
        """Note that the request `scope` failed with `error`; what to answer.

        Returns `error`, or TooManyFailuresError where its address failed too often.
        """
        address = _network_of((scope.get("client") or ("", 0))[0])
        now = self._clock()
        free_at = max(self._free_at.get(address, now), now) + self._interval_s
        wait_s = free_at - now - _WINDOW_S
        if wait_s > 1e-6:
            return TooManyFailuresError(
                f"Too many tokens from {address or 'this address'} were not known.",
                retry_after_s=math.ceil(wait_s),
                hint="A token that is good is answered at once. "
                "MLQ_FAILED_LOGINS_PER_MINUTE sets the limit.",
            )
        self._free_at[address] = free_at
        self._free_at.move_to_end(address)
        while len(self._free_at) > self.SIZE:
            self._free_at.popitem(last=False)
        return error


def _network_of(host: str) -> str:
    """What one caller is known by: an IPv4 address, or the /64 that a host of IPv6 chooses from."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))

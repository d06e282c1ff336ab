"""Addresses: where a name on the network leads, and who reaches what binds one.

So that nobody is sent into the inner network, or opens a server to it, unawares.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mlq.errors import MlqError, SettingsError

if TYPE_CHECKING:
    import httpx

Resolve = Callable[[str, int], Sequence[str]]


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(item[4][0]) for item in found]


def pinned(
    target: str,
    *,
    allowed: Sequence[str] = (),
    setting: str,
    resolve: Resolve = _resolve,
) -> tuple[httpx.URL, dict[str, Any]]:
    """The address to connect to, by number: the name may mean another one a moment later.

    allowed: host names that may lead into the inner network; setting: where an operator says so.
    Returns a URL for httpx and its request extensions. Raises OSError for a name without address,
    MlqError (code `inner_address`) where any address of the name is not a public one.
    """
    import httpx

    url = httpx.URL(target)
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = resolve(url.host, port)
    if not addresses:
        raise OSError(f"{url.host} has no address")
    if url.host.lower() not in {name.lower() for name in allowed}:
        for address in addresses:
            if not _is_public(address):
                raise MlqError(
                    f"{url.host} leads to {address}, which is not a public address.",
                    code="inner_address",
                    hint=f"An operator may name the host in {setting}.",
                )
    extensions = {"sni_hostname": url.host} if url.scheme == "https" else {}
    return url.copy_with(host=addresses[0]), extensions


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is not None:
            return _is_public(str(inner))
        if address in ipaddress.ip_network("64:ff9b::/96"):  # IPv4 behind a translator
            return _is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
    return address.is_global and not address.is_multicast


def is_loopback(host: str) -> bool:
    """Whether what binds `host`, a number or a name, is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False  # a name may mean any address, and an empty one means all


def require_safe_bind(host: str, *, plain_http: bool) -> None:
    """Raise SettingsError where tokens would cross a network unencrypted and nobody said so.

    plain_http: the operator's word that the network is theirs, or that a proxy adds TLS.
    """
    if plain_http or is_loopback(host):
        return
    raise SettingsError(
        f"Binding {host or 'every address'} would send tokens over the network without TLS.",
        code="plain_http",
        hint="Keep to 127.0.0.1 behind a reverse proxy with TLS; or, where the network is yours "
        "alone or a proxy on it adds TLS, say so: --plain-http, or MLQ_PLAIN_HTTP=true.",
    )

"""Names on the network are followed to public addresses only, and loopback is bound by itself."""

from __future__ import annotations

import pytest

from mlq.addresses import pinned, require_safe_bind
from mlq.errors import MlqError, SettingsError


@pytest.mark.parametrize(
    ("target", "addresses"),
    [
        ("http://127.0.0.1/x", ["127.0.0.1"]),
        ("http://2130706433/", ["127.0.0.1"]),
        ("http://[::ffff:127.0.0.1]/", ["::ffff:127.0.0.1"]),
        ("http://metadata/", ["169.254.169.254"]),
        ("http://metadata/", ["64:ff9b::a9fe:a9fe"]),
        ("http://inner/", ["10.0.0.7"]),
        ("http://inner/", ["fe80::1%eth0"]),
        ("http://inner/", ["fd00::1"]),
        ("http://inner/", ["0.0.0.0"]),
        ("http://both/", ["93.184.216.34", "192.168.1.1"]),
        ("http://carrier/", ["100.64.0.1"]),
        ("http://six/", ["2002:7f00:1::"]),
    ],
)
def test_no_name_leads_into_the_inner_network(target: str, addresses: list[str]) -> None:
    with pytest.raises(MlqError) as caught:
        pinned(target, setting="MLQ_X", resolve=lambda host, port: addresses)
    assert caught.value.code == "inner_address"
    assert "MLQ_X" in caught.value.hint


def test_the_address_that_was_checked_is_the_one_that_is_used() -> None:
    url, extensions = pinned(
        "https://hooks.example.org/a?b=c",
        setting="MLQ_X",
        resolve=lambda host, port: ["93.184.216.34"],
    )
    assert str(url) == "https://93.184.216.34/a?b=c"
    assert extensions == {"sni_hostname": "hooks.example.org"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_may_be_bound_without_tls(host: str) -> None:
    require_safe_bind(host, plain_http=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.1.2.3", "fe80::1%eth0", "mlq.example"])
def test_tokens_cross_a_network_only_where_an_operator_says_so(host: str) -> None:
    with pytest.raises(SettingsError, match="without TLS") as caught:
        require_safe_bind(host, plain_http=False)
    assert "--plain-http" in caught.value.hint
    assert "MLQ_PLAIN_HTTP=true" in caught.value.hint
    require_safe_bind(host, plain_http=True)

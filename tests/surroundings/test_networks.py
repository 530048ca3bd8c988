"""Which addresses lie in the networks that a user named."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbids.networks import Networks
from hbids.parties import address_words

Address = IPv4Address | IPv6Address
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(st.lists(st.tuples(ADDRESSES, st.integers(0, 128)), max_size=4), st.lists(ADDRESSES, min_size=1, max_size=8))
def test_as_the_standard_library_says(networks: list[tuple[Address, int]], addresses: list[Address]) -> None:
    named = [ip_network((ip, min(length, ip.max_prefixlen)), strict=False) for ip, length in networks]
    known = Networks(map(str, named))
    words = np.array([address_words(str(ip)) for ip in addresses], np.uint64).T
    assert known.have((words[0], words[1])).tolist() == [known.has(str(ip)) for ip in addresses]
    for ip in addresses:  # an IPv4 address is also its v4-mapped one, which the standard library keeps apart
        same = {ip, IPv6Address(f"::ffff:{ip}")} if ip.version == 4 else {ip, ip.ipv4_mapped or ip}
        assert known.has(str(ip)) == any(each in network for each in same for network in named)


@pytest.mark.parametrize(
    ("ip", "inside"),
    [("10.9.0.5", True), ("10.9.0.6", False), ("192.0.2.200", True), ("192.0.3.1", False), ("fd00:1::7", True)],
)
def test_single_addresses_and_networks(ip: str, *, inside: bool) -> None:
    assert Networks(["10.9.0.5", "192.0.2.0/24", "fd00::/16"]).has(ip) is inside


def test_none_are_false_and_have_nobody() -> None:
    none = Networks([])
    assert not none
    assert not none.has("10.0.0.1")

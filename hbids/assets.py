"""What a user says of his endpoints: this one is the mail server, that one lets people in from outside.

An asset is a place and some words. The place is a network, an address, an address with a port, or a host name, in which
``*`` and ``?`` stand for any characters.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import NamedTuple

__all__ = ["AUTHENTICATES", "AUTHENTICATING", "Asset", "Place", "is_name", "is_word", "place_of"]

AUTHENTICATES = "authenticates"
"""The word of endpoints at which people show who they are: what leaks there first are passwords and sessions."""
AUTHENTICATING = frozenset(
    {"ad", "idp", "ldap", "login", "mail", "radius", "remote-access", "sso", "vpn", "web-login", "webmail"}
)
"""Words that imply it."""

_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_NAME = re.compile(r"(?=.*[A-Za-z*?])[A-Za-z0-9*?_-]+(\.[A-Za-z0-9*?_-]+)*")
_ADDRESS_AND_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")
_MOST_PORT = 65_535


class Asset(NamedTuple):
    """See the module's docstring."""

    place: str
    words: tuple[str, ...]


class Place(NamedTuple):
    """Addresses, with any port if it is None."""

    network: str
    port: int | None


def is_word(text: str) -> bool:
    """Whether this may describe an asset."""
    return _WORD.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether this may be a host name, or a pattern of some."""
    return _NAME.fullmatch(text) is not None


def place_of(text: str) -> Place | None:
    """A network, an address, or an address and a port; None if it is none of them."""
    found = _ADDRESS_AND_PORT.fullmatch(text)
    try:
        if found is None:
            return Place(str(ip_network(text, strict=False)), None)
        port = int(found[3])
        return Place(str(ip_address(found[1] or found[2])), port) if 1 <= port <= _MOST_PORT else None
    except ValueError:
        return None

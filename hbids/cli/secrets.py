"""What stood in an endpoint's memory, and so has to be made anew after a leak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hbids.facts import TlsStart

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["kind_of_service", "secrets_of"]

_BY_START = {
    TlsStart.SMTP: "mail",
    TlsStart.IMAP: "mail",
    TlsStart.POP3: "mail",
    TlsStart.MANAGESIEVE: "mail",
    TlsStart.FTP: "file transfer",
    TlsStart.LDAP: "directory",
    TlsStart.XMPP: "chat",
    TlsStart.IRC: "chat",
    TlsStart.POSTGRESQL: "database",
    TlsStart.MYSQL: "database",
    TlsStart.OPENVPN: "VPN",
    TlsStart.EAP: "EAP",
}
_BY_PORT = {
    **dict.fromkeys((25, 110, 143, 465, 587, 993, 995, 4190), "mail"),
    **dict.fromkeys((443, 8443), "web"),
    **dict.fromkeys((389, 636, 3269), "directory"),
    **dict.fromkeys((21, 989, 990), "file transfer"),
    **dict.fromkeys((3306, 5432), "database"),
    **dict.fromkeys((5222, 5223, 5269, 6697), "chat"),
    1194: "VPN",
}
"""IANA's, for TLS from the first byte: what usually is behind it."""

_HELD = {
    "mail": "Mailbox passwords and mail in transit: reset the passwords of all who logged in or sent mail through it.",
    "web": "Session cookies and what people typed: end all sessions, reset the passwords entered there.",
    "directory": "Bind passwords: change those of service accounts first, then of all who logged in through it.",
    "file transfer": "Account passwords and files in transit: change the passwords.",
    "chat": "Account passwords and messages in transit: change the passwords.",
    "database": "Database passwords and query results: change the passwords of the applications that connect.",
    "VPN": "VPN secrets: replace the tls-auth key, end all sessions, change user passwords, look who dialled in since.",
    "EAP": "Secrets shared with access servers (RADIUS) and users' passwords: renew them.",
}
_KEY = (
    "The private key of its certificate: make a new one on a patched machine, have the certificate reissued, then "
    "revoke the old one. Likewise on every other host that has the same key."
)
_OTHERS_HELD = "Whatever clients sent it: reset the passwords, tokens and sessions that passed through it."


def kind_of_service(endpoint: Mapping[str, Any], starts: Collection[TlsStart]) -> str:
    """What a server is to its users; empty when nothing tells. ``starts``: how TLS began there, as far as seen."""
    carrier = {"openvpn": "VPN", "eap": "EAP"}.get(endpoint["carrier"] or "")
    told = carrier or next((_BY_START[start] for start in starts if start in _BY_START), "")
    return told or ("" if endpoint["role"] == "client" else _BY_PORT.get(endpoint["port"], ""))


def secrets_of(endpoint: Mapping[str, Any], starts: Collection[TlsStart]) -> list[str]:
    """What to make anew, after the software has been patched; most urgent first."""
    if endpoint["role"] == "client":
        return [
            "Passwords, tokens and cookies the client held: change them, end its sessions.",
            "Client keys and certificates on it: make new ones, revoke the old.",
            "Find who sent it to that server, by which mail or page, and which other clients followed.",
        ]
    return [
        _KEY,
        _HELD.get(kind_of_service(endpoint, starts), _OTHERS_HELD),
        "Session tickets: restart all processes and hosts that share their keys.",
        "Without forward secrecy, traffic recorded before can be read with the old key: judge what it carried.",
    ]

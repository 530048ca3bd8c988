"""The words after which TLS begins: who asks for it how, and what the answer looks like when it is granted.

STARTTLS of RFC 3207 (SMTP), 2595 (IMAP, POP3), 4642 (NNTP), 5804 (ManageSieve), 6120 (XMPP) and IRCv3; AUTH TLS of RFC
4217 (FTP); the extended operation of RFC 4511 (LDAP); SSLRequest of PostgreSQL and of MySQL; CONNECT of RFC 9110; SOCKS
of RFC 1928 and its version 4; the PROXY protocol of HAProxy, versions 1 and 2.
"""

from __future__ import annotations

from hbids.decode.reference.dialogue import Turn
from hbids.facts import TlsStart

__all__ = ["BEGUN_UNANSWERED", "asked", "granted", "granted_unasked", "may_be_followed_by_tls"]

LDAP_STARTTLS = b"1.3.6.1.4.1.1466.20037"
POSTGRESQL_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
MYSQL_SSL_REQUEST_HEADER = b"\x20\x00\x00\x01"  # 32 bytes of payload, the second packet
MYSQL_SSL_REQUEST_BYTES = 36
MYSQL_CLIENT_SSL = 0x08  # bit of the second byte of the capabilities
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
PROXY_V2_HEADER_BYTES = 16
AUTH_ARGUMENTS = (b"TLS", b"TLS-C", b"TLS-P", b"SSL")
HTTP_METHODS = tuple(
    method + b" "
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"PRI")
)
"""Not CONNECT: what follows that is not HTTP."""
SWITCHING_PROTOCOLS = b"101"


def asked(client: Turn, server: Turn) -> TlsStart | None:
    """The protocol in which the client's turn ends with the wish to begin TLS, if it does."""
    head, tail, whole = client.head, client.tail, client.whole
    if head.startswith(HTTP_METHODS):
        return None
    if head.startswith(PROXY_V2) and len(head) == PROXY_V2_HEADER_BYTES:
        if client.length == PROXY_V2_HEADER_BYTES + int.from_bytes(head[14:16], "big"):
            return TlsStart.PROXY_PROTOCOL
    elif head.startswith(b"PROXY ") and whole.endswith(b"\r\n") and whole.count(b"\n") == 1:
        return TlsStart.PROXY_PROTOCOL
    if head.startswith(b"CONNECT "):
        return TlsStart.HTTP_CONNECT if tail.endswith((b"\n\r\n", b"\n\n")) else None
    if tail.endswith(POSTGRESQL_SSL_REQUEST) and client.length <= 2 * len(POSTGRESQL_SSL_REQUEST):
        return TlsStart.POSTGRESQL  # perhaps behind a GSSENCRequest
    if client.length == MYSQL_SSL_REQUEST_BYTES and head.startswith(MYSQL_SSL_REQUEST_HEADER):
        return TlsStart.MYSQL if head[5] & MYSQL_CLIENT_SSL else None
    if head.startswith(b"\x30") and LDAP_STARTTLS in tail:
        return TlsStart.LDAP
    if b"<starttls" in tail and tail.rstrip(b"\r\n ").endswith(b">"):
        return TlsStart.XMPP
    return TlsStart.SOCKS if _is_socks_request(whole) else _asked_in_a_line(client, server)


def _asked_in_a_line(client: Turn, server: Turn) -> TlsStart | None:
    match [word for word in client.last_line.split(b" ") if word]:
        case [b"STARTTLS"]:
            return _who_speaks_so(server)
        case [_, b"STARTTLS"]:
            return TlsStart.IMAP
        case [b"STLS"]:
            return TlsStart.POP3
        case [b"AUTH", argument] if argument in AUTH_ARGUMENTS:
            return TlsStart.FTP
    return None


def _who_speaks_so(server: Turn) -> TlsStart:
    """Whose STARTTLS it is when the command stands alone."""
    line = server.last_line
    if line.startswith(b":"):
        return TlsStart.IRC
    if line.startswith((b'"', b"OK")):
        return TlsStart.MANAGESIEVE
    if line.startswith((b"382", b"200", b"201", b"101", b".")):
        return TlsStart.NNTP
    return TlsStart.SMTP


def granted(protocol: TlsStart, server: Turn) -> bool:
    """Whether the server's turn ends with the answer that lets TLS begin."""
    line = server.last_line
    if protocol in GRANTING_LINES:
        return line.startswith(GRANTING_LINES[protocol])
    match protocol:
        case TlsStart.IMAP:
            return line.split(b" ")[1:2] == [b"OK"]
        case TlsStart.IRC:
            return b" 670 " in line
        case TlsStart.POSTGRESQL:
            return server.whole in (b"S", b"NS")
        case TlsStart.MYSQL:  # it greets, and waits
            return server.head[3:5] == b"\x00\x0a"
        case TlsStart.SOCKS:
            return _is_socks_reply(server.whole)
        case TlsStart.XMPP:
            return b"<proceed" in server.tail and server.tail.rstrip(b"\r\n ").endswith(b">")
        case TlsStart.LDAP:
            return _is_ldap_success(server)
        case TlsStart.HTTP_CONNECT:
            return _is_http_success(server)
    return protocol is TlsStart.PROXY_PROTOCOL


BEGUN_UNANSWERED = (TlsStart.MYSQL, TlsStart.PROXY_PROTOCOL)
"""Where the client does not wait for an answer."""

GRANTING_LINES: dict[TlsStart, tuple[bytes, ...]] = {
    TlsStart.SMTP: (b"220",),
    TlsStart.POP3: (b"+OK",),
    TlsStart.FTP: (b"234", b"334"),
    TlsStart.NNTP: (b"382",),
    TlsStart.MANAGESIEVE: (b"OK",),
}


def _is_ldap_success(server: Turn) -> bool:
    """An extended response with the result code "success"."""
    return server.head.startswith(b"\x30") and b"\x78" in server.head and b"\x0a\x01\x00" in server.tail


def _is_http_success(server: Turn) -> bool:
    """A response of 2xx that ends with its header."""
    is_success = server.head.startswith(b"HTTP/1.") and server.head[8:10] == b" 2"
    return is_success and server.tail.endswith((b"\n\r\n", b"\n\n"))


def granted_unasked(server: Turn) -> TlsStart | None:
    """The protocol in which the server let TLS begin, where the client was not captured."""
    if server.head.startswith(b"HTTP/1."):
        return TlsStart.HTTP_CONNECT if b"established" in server.tail.lower() else None
    for protocol in GRANTED_IN_WORDS_OF_THEIR_OWN:
        if granted(protocol, server):
            return protocol
    return None


GRANTED_IN_WORDS_OF_THEIR_OWN = (
    TlsStart.SMTP,
    TlsStart.FTP,
    TlsStart.NNTP,
    TlsStart.POP3,
    TlsStart.MANAGESIEVE,
    TlsStart.IMAP,
    TlsStart.IRC,
    TlsStart.XMPP,
    TlsStart.LDAP,
    TlsStart.POSTGRESQL,
    TlsStart.SOCKS,
)


def may_be_followed_by_tls(client: Turn, server: Turn) -> bool:
    """Not so for HTTP, whose bodies may hold anything, unless it was a request for a tunnel or for another protocol."""
    if client.head.startswith(HTTP_METHODS) and not _is_switching(server):
        return False
    return not server.head.startswith(b"HTTP/1.") or _is_switching(server) or client.head.startswith(b"CONNECT ")


def _is_switching(server: Turn) -> bool:
    """Whether the server answered that HTTP is over (RFC 9110 section 15.2.2)."""
    return server.head.startswith(b"HTTP/1.") and server.head[9:12] == SWITCHING_PROTOCOLS


def _is_socks_request(whole: bytes) -> bool:
    """One request of SOCKS 4, 4a or 5, perhaps behind the greeting and the password of SOCKS 5."""
    if whole.startswith(b"\x04"):
        # command, port, address, name; SOCKS 4a: a second name
        names = whole[8:].count(b"\x00")
        return len(whole) > 8 and whole.endswith(b"\x00") and names == 1 + (whole[4:7] == b"\x00\x00\x00")
    if not whole.startswith(b"\x05") or len(whole) < 2:
        return False
    behind = whole[2 + whole[1] :]
    if behind.startswith(b"\x01"):  # RFC 1929: version, name, password
        for skipped in (1, 0):
            length = behind[skipped] if len(behind) > skipped else 0
            behind = behind[skipped + 1 + length :]
    return _is_socks5_message(whole, b"\x05\x01\x00") or _is_socks5_message(behind, b"\x05\x01\x00")


def _is_socks_reply(whole: bytes) -> bool:
    """A reply that grants the request, perhaps behind the answers to the greeting and the password of SOCKS 5."""
    if whole.startswith(b"\x00\x5a"):
        return len(whole) == 8
    return any(_is_socks5_message(whole[skipped:], b"\x05\x00\x00") for skipped in (0, 2, 4))


def _is_socks5_message(data: bytes, begin: bytes) -> bool:
    """RFC 1928 sections 4 and 6: three bytes, an address of some type, a port."""
    if not data.startswith(begin) or len(data) < 5:
        return False
    address_bytes = {1: 4, 3: 1 + data[4], 4: 16}.get(data[3])
    return address_bytes is not None and len(data) == 4 + address_bytes + 2

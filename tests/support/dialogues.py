"""Plain text after which TLS begins, in every protocol that hbids names."""

from __future__ import annotations

from hbids.facts import Direction, TlsStart
from tests.support.conversation import TO_CLIENT, TO_SERVER, Conversation

Dialogue = list[tuple[Direction, bytes]]

LDAP_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
LDAP_SUCCESS = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
MYSQL_GREETING = b"\x4a\x00\x00\x00\x0a8.0.36\x00" + bytes(66)
MYSQL_SSL_REQUEST = b"\x20\x00\x00\x01" + b"\x85\xae\xff\x19" + b"\x00\x00\x00\x01\xff" + bytes(23)
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes.fromhex("0a000001 0a000002 1603 0301")
XMPP = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

DIALOGUES: dict[str, tuple[TlsStart, Dialogue]] = {
    "smtp": (
        TlsStart.SMTP,
        [
            (TO_CLIENT, b"220 mail.example ESMTP\r\n"),
            (TO_SERVER, b"EHLO me\r\n"),
            (TO_CLIENT, b"250-mail.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"),
            (TO_SERVER, b"starttls\r\n"),
            (TO_CLIENT, b"220 2.0.0 go ahead\r\n"),
        ],
    ),
    "imap": (
        TlsStart.IMAP,
        [
            (TO_CLIENT, b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
            (TO_SERVER, b"a001 STARTTLS\r\n"),
            (TO_CLIENT, b"a001 OK Begin TLS negotiation now.\r\n"),
        ],
    ),
    "pop3": (TlsStart.POP3, [(TO_CLIENT, b"+OK hi\r\n"), (TO_SERVER, b"STLS\r\n"), (TO_CLIENT, b"+OK begin\r\n")]),
    "ftp": (
        TlsStart.FTP,
        [(TO_CLIENT, b"220 ftp\r\n"), (TO_SERVER, b"AUTH TLS\r\n"), (TO_CLIENT, b"234 AUTH TLS ok\r\n")],
    ),
    "nntp": (
        TlsStart.NNTP,
        [(TO_CLIENT, b"200 news\r\n"), (TO_SERVER, b"STARTTLS\r\n"), (TO_CLIENT, b"382 continue\r\n")],
    ),
    "managesieve": (
        TlsStart.MANAGESIEVE,
        [
            (TO_CLIENT, b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\nOK "ready"\r\n'),
            (TO_SERVER, b"STARTTLS\r\n"),
            (TO_CLIENT, b'OK "Begin TLS negotiation now."\r\n'),
        ],
    ),
    "irc": (
        TlsStart.IRC,
        [
            (TO_CLIENT, b":irc.example NOTICE * :*** Looking up your hostname\r\n"),
            (TO_SERVER, b"STARTTLS\r\n"),
            (TO_CLIENT, b":irc.example 670 me :STARTTLS successful, proceed with TLS handshake\r\n"),
        ],
    ),
    "xmpp": (
        TlsStart.XMPP,
        [
            (TO_SERVER, b"<?xml version='1.0'?><stream:stream to='example' version='1.0'>"),
            (TO_CLIENT, b"<stream:stream><stream:features><starttls/></stream:features>" + bytes(900)),
            (TO_SERVER, XMPP),
            (TO_CLIENT, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        ],
    ),
    "ldap": (TlsStart.LDAP, [(TO_SERVER, LDAP_REQUEST), (TO_CLIENT, LDAP_SUCCESS)]),
    "postgresql": (
        TlsStart.POSTGRESQL,
        [(TO_SERVER, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), (TO_CLIENT, b"S")],
    ),
    "postgresql after gss": (
        TlsStart.POSTGRESQL,
        [
            (TO_SERVER, b"\x00\x00\x00\x08\x04\xd2\x16\x30"),
            (TO_CLIENT, b"N"),
            (TO_SERVER, b"\x00\x00\x00\x08\x04\xd2\x16\x2f"),
            (TO_CLIENT, b"S"),
        ],
    ),
    "mysql": (TlsStart.MYSQL, [(TO_CLIENT, MYSQL_GREETING), (TO_SERVER, MYSQL_SSL_REQUEST)]),
    "http connect": (
        TlsStart.HTTP_CONNECT,
        [
            (TO_SERVER, b"CONNECT example:443 HTTP/1.1\r\nHost: example:443\r\n\r\n"),
            (TO_CLIENT, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"),
            (TO_SERVER, b"CONNECT example:443 HTTP/1.1\r\nProxy-Authorization: Basic " + b"x" * 200 + b"\r\n\r\n"),
            (TO_CLIENT, b"HTTP/1.1 200 Connection established\r\n\r\n"),
        ],
    ),
    "socks4": (
        TlsStart.SOCKS,
        [(TO_SERVER, b"\x04\x01\x01\xbb\x0a\x00\x00\x02me\x00"), (TO_CLIENT, b"\x00\x5a" + bytes(6))],
    ),
    "socks4a": (
        TlsStart.SOCKS,
        [(TO_SERVER, b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00example\x00"), (TO_CLIENT, b"\x00\x5a" + bytes(6))],
    ),
    "socks5": (
        TlsStart.SOCKS,
        [
            (TO_SERVER, b"\x05\x02\x00\x02"),
            (TO_CLIENT, b"\x05\x02"),
            (TO_SERVER, b"\x01\x02me\x02it"),
            (TO_CLIENT, b"\x01\x00"),
            (TO_SERVER, b"\x05\x01\x00\x03\x07example\x01\xbb"),
            (TO_CLIENT, b"\x05\x00\x00\x01\x0a\x00\x00\x02\x01\xbb"),
        ],
    ),
    "proxy v1": (TlsStart.PROXY_PROTOCOL, [(TO_SERVER, b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n")]),
    "proxy v2": (TlsStart.PROXY_PROTOCOL, [(TO_SERVER, PROXY_V2)]),
    "proxy, then smtp": (
        TlsStart.SMTP,
        [
            (TO_SERVER, b"PROXY UNKNOWN\r\n"),
            (TO_CLIENT, b"220 mail\r\n"),
            (TO_SERVER, b"STARTTLS\r\n"),
            (TO_CLIENT, b"220 go\r\n"),
        ],
    ),
    "another": (TlsStart.UPGRADED, [(TO_SERVER, b"SECURE ME\n"), (TO_CLIENT, b"WELL\n")]),
}
"""What is said, and what hbids calls it."""


def speak(conversation: Conversation, dialogue: Dialogue) -> Conversation:
    for way, words in dialogue:
        conversation.segment(way, words)
    return conversation

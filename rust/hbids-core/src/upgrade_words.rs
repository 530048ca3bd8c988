//! The words after which TLS begins: see `hbids/decode/reference/upgrade_words.py` for the protocols and their RFCs.

use crate::dialogue::Turn;

/// How TLS began; the numbers are those of `hbids.facts.TlsStart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TlsStart {
    Unknown = 0,
    Direct = 1,
    Upgraded = 2,
    Smtp = 3,
    Imap = 4,
    Pop3 = 5,
    Ftp = 6,
    Ldap = 7,
    Xmpp = 8,
    Postgresql = 9,
    Mysql = 10,
    Nntp = 11,
    Managesieve = 12,
    Irc = 13,
    HttpConnect = 14,
    Socks = 15,
    ProxyProtocol = 16,
    OpenVpn = 17,
    Eap = 18,
}

const LDAP_STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
const POSTGRESQL_SSL_REQUEST: &[u8] = b"\x00\x00\x00\x08\x04\xd2\x16\x2f";
/// 32 bytes of payload, the second packet.
const MYSQL_SSL_REQUEST_HEADER: &[u8] = b"\x20\x00\x00\x01";
const MYSQL_SSL_REQUEST_BYTES: u32 = 36;
/// Bit of the second byte of the capabilities.
const MYSQL_CLIENT_SSL: u8 = 0x08;
const PROXY_V2: &[u8] = b"\r\n\r\n\x00\r\nQUIT\n";
const PROXY_V2_HEADER_BYTES: usize = 16;
const AUTH_ARGUMENTS: [&[u8]; 4] = [b"TLS", b"TLS-C", b"TLS-P", b"SSL"];
/// Not CONNECT: what follows that is not HTTP.
const HTTP_METHODS: [&[u8]; 10] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"TRACE ", b"PROPFIND ", b"PRI "];
const SWITCHING_PROTOCOLS: &[u8] = b"101";

fn contains(data: &[u8], wanted: &[u8]) -> bool {
    data.windows(wanted.len()).any(|window| window == wanted)
}

fn count(data: &[u8], wanted: u8) -> usize {
    data.iter().filter(|byte| **byte == wanted).count()
}

fn starts_with_any(data: &[u8], wanted: &[&[u8]]) -> bool {
    wanted.iter().any(|begin| data.starts_with(begin))
}

fn words(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect()
}

fn ends_with_tag(tail: &[u8]) -> bool {
    tail.iter().rfind(|byte| !b"\r\n ".contains(byte)) == Some(&b'>')
}

fn ends_with_empty_line(tail: &[u8]) -> bool {
    tail.ends_with(b"\n\r\n") || tail.ends_with(b"\n\n")
}

/// The protocol in which the client's turn ends with the wish to begin TLS, if it does.
pub(crate) fn asked(client: &Turn, server: &Turn) -> Option<TlsStart> {
    let (head, tail, whole) = (client.head(), client.tail(), client.whole());
    if starts_with_any(head, &HTTP_METHODS) {
        return None;
    }
    let when = |holds: bool, protocol: TlsStart| holds.then_some(protocol);
    if head.starts_with(PROXY_V2) && head.len() == PROXY_V2_HEADER_BYTES {
        let length = PROXY_V2_HEADER_BYTES + usize::from(u16::from_be_bytes([head[14], head[15]]));
        if client.length as usize == length {
            return Some(TlsStart::ProxyProtocol);
        }
    } else if head.starts_with(b"PROXY ") && whole.ends_with(b"\r\n") && count(whole, b'\n') == 1 {
        return Some(TlsStart::ProxyProtocol);
    }
    if head.starts_with(b"CONNECT ") {
        return when(ends_with_empty_line(tail), TlsStart::HttpConnect);
    }
    if tail.ends_with(POSTGRESQL_SSL_REQUEST) && client.length as usize <= 2 * POSTGRESQL_SSL_REQUEST.len() {
        return Some(TlsStart::Postgresql); // perhaps behind a GSSENCRequest
    }
    if client.length == MYSQL_SSL_REQUEST_BYTES && head.starts_with(MYSQL_SSL_REQUEST_HEADER) {
        return when(head[5] & MYSQL_CLIENT_SSL != 0, TlsStart::Mysql);
    }
    if head.starts_with(b"\x30") && contains(tail, LDAP_STARTTLS) {
        return Some(TlsStart::Ldap);
    }
    if contains(tail, b"<starttls") && ends_with_tag(tail) {
        return Some(TlsStart::Xmpp);
    }
    if is_socks_request(whole) {
        return Some(TlsStart::Socks);
    }
    match words(&client.last_line()).as_slice() {
        [b"STARTTLS"] => Some(who_speaks_so(server)),
        [_, b"STARTTLS"] => Some(TlsStart::Imap),
        [b"STLS"] => Some(TlsStart::Pop3),
        [b"AUTH", argument] if AUTH_ARGUMENTS.contains(argument) => Some(TlsStart::Ftp),
        _ => None,
    }
}

/// Whose STARTTLS it is when the command stands alone.
fn who_speaks_so(server: &Turn) -> TlsStart {
    let line = server.last_line();
    if line.starts_with(b":") {
        TlsStart::Irc
    } else if starts_with_any(&line, &[b"\"", b"OK"]) {
        TlsStart::Managesieve
    } else if starts_with_any(&line, &[b"382", b"200", b"201", b"101", b"."]) {
        TlsStart::Nntp
    } else {
        TlsStart::Smtp
    }
}

/// Where the client does not wait for an answer.
pub(crate) const BEGUN_UNANSWERED: [TlsStart; 2] = [TlsStart::Mysql, TlsStart::ProxyProtocol];

/// Whether the server's turn ends with the answer that lets TLS begin.
pub(crate) fn granted(protocol: TlsStart, server: &Turn) -> bool {
    let line_begins = |begins: &[&[u8]]| starts_with_any(&server.last_line(), begins);
    let (head, tail) = (server.head(), server.tail());
    match protocol {
        TlsStart::Unknown | TlsStart::Direct | TlsStart::Upgraded | TlsStart::OpenVpn | TlsStart::Eap => false,
        TlsStart::Smtp => line_begins(&[b"220"]),
        TlsStart::Pop3 => line_begins(&[b"+OK"]),
        TlsStart::Ftp => line_begins(&[b"234", b"334"]),
        TlsStart::Nntp => line_begins(&[b"382"]),
        TlsStart::Managesieve => line_begins(&[b"OK"]),
        TlsStart::Imap => server.last_line().split(|byte| *byte == b' ').nth(1) == Some(b"OK"),
        TlsStart::Irc => contains(&server.last_line(), b" 670 "),
        TlsStart::Postgresql => matches!(server.whole(), b"S" | b"NS"),
        TlsStart::Mysql => head.get(3..5) == Some(b"\x00\x0a"), // it greets, and waits
        TlsStart::Socks => is_socks_reply(server.whole()),
        TlsStart::Xmpp => contains(tail, b"<proceed") && ends_with_tag(tail),
        // An extended response with the result code "success".
        TlsStart::Ldap => head.starts_with(b"\x30") && head.contains(&0x78) && contains(tail, b"\x0a\x01\x00"),
        TlsStart::HttpConnect => {
            head.starts_with(b"HTTP/1.") && head.get(8..10) == Some(b" 2") && ends_with_empty_line(tail)
        }
        TlsStart::ProxyProtocol => true,
    }
}

/// The protocol in which the server let TLS begin, where the client was not captured.
pub(crate) fn granted_unasked(server: &Turn) -> Option<TlsStart> {
    if server.head().starts_with(b"HTTP/1.") {
        let tunnels = contains(&server.tail().to_ascii_lowercase(), b"established");
        return tunnels.then_some(TlsStart::HttpConnect);
    }
    GRANTED_IN_WORDS_OF_THEIR_OWN.into_iter().find(|protocol| granted(*protocol, server))
}

const GRANTED_IN_WORDS_OF_THEIR_OWN: [TlsStart; 11] = [
    TlsStart::Smtp,
    TlsStart::Ftp,
    TlsStart::Nntp,
    TlsStart::Pop3,
    TlsStart::Managesieve,
    TlsStart::Imap,
    TlsStart::Irc,
    TlsStart::Xmpp,
    TlsStart::Ldap,
    TlsStart::Postgresql,
    TlsStart::Socks,
];

/// Not so for HTTP, whose bodies may hold anything, unless it was a request for a tunnel or for another protocol.
pub(crate) fn may_be_followed_by_tls(client: &Turn, server: &Turn) -> bool {
    if starts_with_any(client.head(), &HTTP_METHODS) && !is_switching(server) {
        return false;
    }
    !server.head().starts_with(b"HTTP/1.") || is_switching(server) || client.head().starts_with(b"CONNECT ")
}

/// Whether the server answered that HTTP is over (RFC 9110 section 15.2.2).
fn is_switching(server: &Turn) -> bool {
    server.head().starts_with(b"HTTP/1.") && server.head().get(9..12) == Some(SWITCHING_PROTOCOLS)
}

/// One request of SOCKS 4, 4a or 5, perhaps behind the greeting and the password of SOCKS 5.
fn is_socks_request(whole: &[u8]) -> bool {
    match whole {
        // Command, port, address, name; SOCKS 4a: a second name.
        [4, _, _, _, address @ ..] => {
            let names = if address.starts_with(&[0; 3]) { 2 } else { 1 };
            whole.len() > 8 && whole.ends_with(&[0]) && count(&whole[8..], 0) == names
        }
        [5, methods, rest @ ..] => {
            let mut behind = rest.get(usize::from(*methods)..).unwrap_or(&[]);
            if behind.first() == Some(&1) {
                // RFC 1929: version, name, password.
                for skipped in [1, 0] {
                    let length = behind.get(skipped).map_or(0, |length| usize::from(*length));
                    behind = behind.get(skipped + 1 + length..).unwrap_or(&[]);
                }
            }
            is_socks5_message(whole, b"\x05\x01\x00") || is_socks5_message(behind, b"\x05\x01\x00")
        }
        _ => false,
    }
}

/// A reply that grants the request, perhaps behind the answers to the greeting and the password of SOCKS 5.
fn is_socks_reply(whole: &[u8]) -> bool {
    if whole.starts_with(b"\x00\x5a") {
        return whole.len() == 8;
    }
    [0, 2, 4].into_iter().any(|skipped| is_socks5_message(whole.get(skipped..).unwrap_or(&[]), b"\x05\x00\x00"))
}

/// RFC 1928 sections 4 and 6: three bytes, an address of some type, a port.
fn is_socks5_message(data: &[u8], begin: &[u8]) -> bool {
    let (Some(kind), Some(first)) = (data.get(3), data.get(4)) else {
        return false;
    };
    let address_bytes = match kind {
        1 => 4,
        3 => 1 + usize::from(*first),
        4 => 16,
        _ => return false,
    };
    data.starts_with(begin) && data.len() == 4 + address_bytes + 2
}

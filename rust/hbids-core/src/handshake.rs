//! The hellos of a session, what they agree on, and the session's row: see `hbids/decode/reference/handshake.py`.

use std::sync::Arc;

use crate::flow::{Flow, NOT_SEEN};
use crate::hello::{ClientHello, Fingerprints, ServerHello, ABSENT, FULL_FRAGMENT};
use crate::layers::NO_VLAN;
use crate::record::{CLIENT_HELLO, SERVER_HELLO};
use crate::run::Run;

/// A protocol version that was not seen.
pub(crate) const NO_VERSION: u16 = 0;
/// A cipher suite that was not seen.
pub(crate) const NO_SUITE: u16 = NO_VLAN;
pub(crate) const TLS_1_3: u16 = 0x0304;
const DTLS_1_3: u16 = 0xFEFC;
const ANSWER_UNKNOWN: u8 = 0;
const ANSWER_NO: u8 = 1;
const ANSWER_YES: u8 = 2;
/// Handshake type and 24-bit length.
const MESSAGE_HEADER_BYTES: usize = 4;

fn cut(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

fn yes_no(fact: bool) -> u8 {
    if fact {
        ANSWER_YES
    } else {
        ANSWER_NO
    }
}

/// What a session row says of its ClientHello.
struct ClientFields {
    record_version: u16,
    version: u16,
    hello_length: i32,
    heartbeat_offered: i16,
    random: [u8; 32],
    fingerprints: Option<Arc<Fingerprints>>,
    /// Session id, server name and ALPN names, back to back: one allocation for the lifetime of a handshake.
    texts: Box<[u8]>,
    session_id_length: u8,
    server_name_length: u8,
}

impl ClientFields {
    fn session_id(&self) -> &[u8] {
        &self.texts[..usize::from(self.session_id_length)]
    }

    fn server_name(&self) -> &[u8] {
        let start = usize::from(self.session_id_length);
        &self.texts[start..start + usize::from(self.server_name_length)]
    }

    fn protocols(&self) -> &[u8] {
        &self.texts[usize::from(self.session_id_length) + usize::from(self.server_name_length)..]
    }
}

impl Default for ClientFields {
    fn default() -> Self {
        Self {
            record_version: NO_VERSION,
            version: NO_VERSION,
            hello_length: i32::from(NOT_SEEN),
            heartbeat_offered: NOT_SEEN,
            random: [0; 32],
            fingerprints: None,
            texts: Box::default(),
            session_id_length: 0,
            server_name_length: 0,
        }
    }
}

/// What a session row says of its ServerHello.
struct ServerFields<'a> {
    version: u16,
    random: &'a [u8],
    protocol: &'a [u8],
    ja3s: Option<[u8; 32]>,
    resumed: u8,
}

/// What is remembered of a ClientHello takes in memory at most.
const CLIENT_HELLO_BYTES: u64 = 768;

/// Hellos in the making; dropped once the session row is written.
#[derive(Default)]
pub(crate) struct Hello {
    /// Bytes of the first handshake messages of each side.
    handshake: [Vec<u8>; 2],
    client: ClientFields,
    /// When the first one began.
    pub(crate) time_ns: Option<i64>,
}

impl Flow {
    /// What hellos in the making hold (what grows has room for as much again), and what waits for the session's row.
    pub(crate) fn hello_bytes(&self) -> u64 {
        let Some(hello) = &self.hello else {
            return 0;
        };
        let waits_for_row = hello.time_ns.is_some() && !self.session_written;
        let handshake: usize = hello.handshake.iter().map(Vec::len).sum();
        2 * handshake as u64 + if waits_for_row { CLIENT_HELLO_BYTES } else { 0 }
    }

    /// A ClientHello in SSLv2 framing.
    pub(crate) fn read_sslv2_hello(&mut self, run: &mut Run, side: usize, version: u16, length: u16) {
        self.say_hello(run, side);
        let client = ClientFields {
            record_version: version,
            version,
            hello_length: i32::from(length),
            heartbeat_offered: ABSENT,
            ..ClientFields::default()
        };
        self.client_said_hello(side, client);
    }

    /// What was taken for this side's hello was none.
    pub(crate) fn await_hello_again(&mut self, run: &mut Run, side: usize) {
        self.give_up_hello(run, side);
        self.sides[side].awaits_hello = true;
    }

    /// What was taken for a ClientHello was none.
    pub(crate) fn forget_client_hello(&mut self) {
        self.hello_client_side = None;
        if let Some(hello) = self.hello.as_mut() {
            hello.client = ClientFields::default();
            hello.time_ns = None;
        }
    }

    /// The client begins another session.
    pub(crate) fn renew_handshake(&mut self) {
        self.server_said_hello = false;
        self.session_written = false;
        self.hello = None;
        self.cipher_suite = NO_SUITE;
        self.tls_version = NO_VERSION;
        self.encrypt_then_mac = ANSWER_UNKNOWN;
        self.heartbeat_accepted = NOT_SEEN;
        self.fragment_bytes = FULL_FRAGMENT;
    }

    /// The flow is over, and it was TLS.
    pub(crate) fn end_handshake(&mut self, run: &mut Run) {
        if !self.session_written {
            let server =
                ServerFields { version: NO_VERSION, random: &[], protocol: &[], ja3s: None, resumed: ANSWER_UNKNOWN };
            self.write_session(run, &server);
        }
    }

    /// Bytes of handshake records, not yet sealed.
    pub(crate) fn collect_handshake(&mut self, run: &mut Run, side: usize, data: &[u8]) {
        let mut buffer = self.hello.as_mut().map_or_else(Vec::new, |hello| std::mem::take(&mut hello.handshake[side]));
        // The usual hello lies whole in one segment and is read where it lies.
        if buffer.is_empty() {
            let left = self.take_messages(run, side, data);
            if left.is_empty() {
                return;
            }
            buffer.extend_from_slice(left);
        } else {
            buffer.extend_from_slice(data);
            let left = self.take_messages(run, side, &buffer).len();
            buffer.drain(..buffer.len() - left);
        }
        if self.sides[side].awaits_hello && !buffer.is_empty() {
            self.hello.get_or_insert_default().handshake[side] = buffer;
        } else if self.session_written {
            // Only the other side's hello can still be in the making.
            self.hello = self.hello.take().filter(|hello| hello.handshake.iter().any(|bytes| !bytes.is_empty()));
        }
    }

    /// Read the messages at the front of `data` until the hello is found; what must wait for more bytes is returned.
    fn take_messages<'a>(&mut self, run: &mut Run, side: usize, data: &'a [u8]) -> &'a [u8] {
        let mut rest = data;
        while let Some((header, body)) = rest.split_at_checked(MESSAGE_HEADER_BYTES) {
            let kind = header[0];
            let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            let is_hello = kind == CLIENT_HELLO || kind == SERVER_HELLO;
            if !is_hello && length == 0 {
                rest = body; // HelloRequest and the like
                continue;
            }
            if !is_hello {
                self.sides[side].awaits_hello = false; // the hello was before
            } else if length as u64 > run.limits.hello_bytes {
                run.counters.hello_too_long += 1;
                self.sides[side].awaits_hello = false;
                self.say_hello(run, side);
            } else if let Some(body) = body.get(..length) {
                self.sides[side].awaits_hello = false;
                self.read_hello(run, side, kind, body);
            } else {
                return rest;
            }
            return &[];
        }
        rest
    }

    /// Whether a hello is there in part.
    pub(crate) fn hello_has_begun(&self, side: usize) -> bool {
        let begun = self.hello.as_ref().and_then(|hello| hello.handshake[side].first());
        matches!(begun, Some(&(CLIENT_HELLO | SERVER_HELLO)))
    }

    /// The direction's hello will not be whole.
    pub(crate) fn give_up_hello(&mut self, run: &mut Run, side: usize) {
        if let Some(hello) = self.hello.as_mut() {
            if self.sides[side].awaits_hello && !hello.handshake[side].is_empty() {
                run.counters.hello_incomplete += 1;
            }
            hello.handshake[side] = Vec::new();
        }
        self.sides[side].awaits_hello = false;
    }

    /// A whole ClientHello or ServerHello.
    pub(crate) fn read_hello(&mut self, run: &mut Run, side: usize, kind: u8, body: &[u8]) {
        if kind == CLIENT_HELLO {
            let Some(hello) = ClientHello::parse(body, self.is_dtls()) else {
                run.counters.hello_malformed += 1;
                return;
            };
            self.say_hello(run, side);
            let mut random = [0; 32];
            random.copy_from_slice(hello.random);
            let name = cut(hello.server_name(), 255);
            let mut texts = [hello.session_id, name].concat();
            hello.join_protocols(&mut texts, 64);
            let client = ClientFields {
                record_version: self.sides[side].record_version,
                version: hello.version,
                hello_length: i32::try_from(body.len()).unwrap_or(i32::MAX),
                heartbeat_offered: hello.heartbeat_mode(),
                random,
                fingerprints: Some(run.fingerprints.of_client(&hello)),
                texts: texts.into(),
                session_id_length: u8::try_from(hello.session_id.len()).unwrap_or(u8::MAX),
                server_name_length: u8::try_from(name.len()).unwrap_or(u8::MAX),
            };
            self.client_said_hello(side, client);
        } else {
            let Some(hello) = ServerHello::parse(body) else {
                run.counters.hello_malformed += 1;
                return;
            };
            self.is_tentative = false;
            self.say_hello(run, side);
            self.server_hello(run, side, &hello);
        }
    }

    fn client_said_hello(&mut self, side: usize, client: ClientFields) {
        if self.session_written {
            return;
        }
        self.set_client(side);
        self.hello_client_side = Some(u8::from(side == 1));
        self.hello.get_or_insert_default().client = client;
    }

    fn server_hello(&mut self, run: &mut Run, side: usize, hello: &ServerHello<'_>) {
        if self.server_said_hello {
            return;
        }
        self.server_said_hello = true;
        self.set_client(1 - side);
        self.fragment_bytes = hello.fragment_bytes();
        self.cipher_suite = hello.cipher;
        self.tls_version = hello.negotiated_version();
        self.encrypt_then_mac = yes_no(hello.encrypt_then_mac());
        self.heartbeat_accepted = hello.heartbeat_mode();
        let server = ServerFields {
            version: hello.version,
            random: hello.random,
            protocol: hello.protocol(),
            ja3s: Some(run.fingerprints.of_server(hello)),
            resumed: self.resumed(hello),
        };
        self.write_session(run, &server);
    }

    fn resumed(&self, hello: &ServerHello<'_>) -> u8 {
        // A ClientHello in SSLv2 framing has no session id to resume and no fingerprints.
        let Some(client) =
            self.hello.as_ref().map(|known| &known.client).filter(|client| client.fingerprints.is_some())
        else {
            return ANSWER_UNKNOWN;
        };
        if self.tls_version == TLS_1_3 || self.tls_version == DTLS_1_3 {
            return yes_no(hello.pre_shared_key());
        }
        yes_no(!hello.session_id.is_empty() && hello.session_id == client.session_id())
    }

    fn write_session(&mut self, run: &mut Run, server: &ServerFields<'_>) {
        self.session_written = true;
        let known = self.hello.take().unwrap_or_default();
        let client = &known.client;
        let table = &mut run.rows.sessions;
        table.i64(known.time_ns.unwrap_or(0));
        table.u64(self.flow_id);
        self.put_endpoints(table);
        table.u8(self.transport());
        table.u8(self.tls_start as u8);
        table.u8(server.resumed);
        table.u8(self.encrypt_then_mac);
        table.flag(self.midstream);
        table.u16(client.record_version);
        table.u16(client.version);
        table.u16(server.version);
        table.u16(self.tls_version);
        table.u16(self.cipher_suite);
        table.i32(client.hello_length);
        table.i16(client.heartbeat_offered);
        table.i16(self.heartbeat_accepted);
        table.raw(&client.random);
        table.text(server.random, 32);
        table.text(client.server_name(), 255);
        table.text(client.protocols(), 64);
        table.text(server.protocol, 32);
        table.text(client.fingerprints.as_ref().map_or(&[][..], |prints| &prints.ja3), 32);
        table.text(server.ja3s.as_ref().map_or(&[][..], |print| print), 32);
        table.text(client.fingerprints.as_ref().map_or(&[][..], |prints| &prints.ja4), 36);
        table.end_row();
        // The other side's hello may still be in the making.
        if known.handshake.iter().any(|bytes| !bytes.is_empty()) {
            self.hello = Some(known);
        }
    }
}

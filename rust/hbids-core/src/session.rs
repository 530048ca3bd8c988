//! What is known of the TLS session on one flow: see `hbids/decode/reference/session.py` for the rules.

use crate::flow::Flow;
use crate::handshake::TLS_1_3;
use crate::heartbeat_message::Protection;
use crate::record::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEARTBEAT, SSLV2_HELLO};
use crate::run::Run;
use crate::upgrade_words::TlsStart;

pub(crate) const TRANSPORT_TLS: u8 = 1;
pub(crate) const TRANSPORT_DTLS: u8 = 2;
const FIRST_TYPE: u8 = CHANGE_CIPHER_SPEC;
const SMALL_TYPES: usize = 3;

impl Flow {
    // --- records ---

    /// The other side has sent a ClientHello, or it was agreed that it will.
    pub(crate) fn expects_server_hello(&self, side: usize) -> bool {
        if self.other_said_client_hello(side) {
            return self.may_be_answered();
        }
        self.client() != side && self.agreed().is_some()
    }

    fn other_said_client_hello(&self, side: usize) -> bool {
        self.hello_client_side.map(usize::from) == Some(1 - side)
    }

    /// Words, perhaps those that grant what the client has begun already.
    pub(crate) fn plain_text(&mut self, run: &mut Run, side: usize, data: &[u8]) {
        self.hear(run, side, data);
        if self.is_granted_now() {
            self.is_tentative = false;
            if self.hello.as_ref().is_some_and(|hello| hello.time_ns.is_some()) {
                self.say_hello(run, side);
            }
        }
    }

    /// Some of the plain text is missing. Whether a hello may be, because it was agreed on.
    pub(crate) fn plain_gap(&mut self, side: usize) -> bool {
        let agreed = self.agreed().is_some();
        if agreed && !self.said_hello {
            self.begin_upgrade(side);
        }
        agreed
    }

    /// TLS begins after plain text.
    pub(crate) fn upgraded(&mut self, side: usize) {
        if !self.said_hello && !self.is_tentative {
            self.begin_upgrade(side);
        }
        if self.sides[1 - side].records.iter().any(|count| *count > 0) {
            self.dialogue = None;
        }
    }

    /// What was taken for records is forgotten.
    pub(crate) fn not_tls(&mut self, run: &mut Run, side: usize) {
        self.end_heartbeats(run);
        self.heartbeats = None;
        self.await_hello_again(run, side);
        let own = &mut self.sides[side];
        own.records = [0; 5];
        own.small_record_bytes = [0; 3];
        own.bulk_record_bytes = [0; 2];
        own.changed_cipher = false;
        own.sealed = false;
        if self.client() == side {
            self.withdraw_upgrade();
            self.forget_client_hello();
        }
    }

    pub(crate) fn record_began(&mut self, run: &mut Run, side: usize, kind: u8, version: u16, length: u16) {
        let own = &mut self.sides[side];
        own.record_type = kind;
        own.record_version = version;
        if kind == SSLV2_HELLO {
            self.read_sslv2_hello(run, side, version, length);
            return;
        }
        let count = &mut own.records[usize::from(kind - FIRST_TYPE)];
        *count = count.saturating_add(1);
        if kind == HEARTBEAT {
            self.heartbeat_began(run, side, version, length);
            return;
        }
        self.other_record_began(side, kind);
        let own = &mut self.sides[side];
        if kind == APPLICATION_DATA && self.hello_may_be_missed {
            own.sealed = true;
        } else if kind == CHANGE_CIPHER_SPEC && length == 1 && self.may_change_cipher(side) {
            let own = &mut self.sides[side];
            own.changed_cipher = true;
            own.sealed = true;
        }
    }

    /// TLS 1.3 knows no ChangeCipherSpec, though it is sent to please middleboxes, by the client perhaps before the server
    /// has said a word (RFC 8446 appendix D.4).
    fn may_change_cipher(&self, side: usize) -> bool {
        let server_is_silent = self.sides[1 - side].records.iter().all(|count| *count == 0);
        let too_early = self.client() == side && server_is_silent && !self.may_have_missed(1 - side);
        self.tls_version != TLS_1_3 && !too_early
    }

    pub(crate) fn record_body(&mut self, run: &mut Run, side: usize, data: &[u8]) {
        let own = &mut self.sides[side];
        let kind = own.record_type;
        if kind == SSLV2_HELLO {
            return;
        }
        let index = usize::from(kind - FIRST_TYPE);
        if let Some(bytes) = own.small_record_bytes.get_mut(index) {
            *bytes = bytes.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
        } else {
            own.bulk_record_bytes[index - SMALL_TYPES] += data.len() as u64;
        }
        if kind == HEARTBEAT {
            self.heartbeat_body(run, side, data);
        } else if kind == HANDSHAKE && own.awaits_hello && !own.sealed {
            self.collect_handshake(run, side, data);
        }
    }

    pub(crate) fn record_gap(&mut self, run: &mut Run, side: usize, length: u32) {
        let own = &mut self.sides[side];
        own.lost = true;
        match own.record_type {
            HEARTBEAT => self.heartbeat_gap(run, side, length),
            HANDSHAKE => {
                // What of it was captured is enough to know it is one.
                if self.hello_has_begun(side) {
                    self.say_hello(run, side);
                }
                self.give_up_hello(run, side);
            }
            _ => {}
        }
    }

    pub(crate) fn record_ended(&mut self, run: &mut Run, side: usize) {
        match self.sides[side].record_type {
            HEARTBEAT => self.heartbeat_ended(run, side),
            // It goes on, and OpenSSL answers heartbeats meanwhile.
            HANDSHAKE if self.hello_has_begun(side) => self.say_hello(run, side),
            _ => {}
        }
    }

    /// The records are records.
    pub(crate) fn boundary_verified(&mut self, run: &mut Run) {
        if !self.verified {
            self.verified = true;
            self.release_held(run);
        }
    }

    /// Records may be missing, and the hello among them unless something else came first.
    pub(crate) fn lost_place(&mut self, run: &mut Run, side: usize) {
        self.sides[side].lost = true;
        self.give_up_hello(run, side);
        let records = &self.sides[side].records;
        let handshakes = usize::from(HANDSHAKE - FIRST_TYPE);
        let began_otherwise = records.iter().enumerate().any(|(index, count)| index != handshakes && *count > 0);
        if !self.said_hello && !began_otherwise {
            self.hello_may_be_missed = true;
            self.verified = false;
        }
        self.heartbeats_lost_place(side);
    }

    // --- records of DTLS ---

    /// Something else came before any hello.
    pub(crate) fn joined_late(&mut self) {
        if !self.said_hello {
            self.midstream = true;
            self.tls_start = TlsStart::Unknown;
        }
    }

    /// A HelloVerifyRequest.
    pub(crate) fn asked_for_cookie(&mut self, run: &mut Run, side: usize) {
        self.set_client(1 - side);
        self.say_hello(run, side);
    }

    /// The client begins another session.
    pub(crate) fn renew_session(&mut self) {
        for side in &mut self.sides {
            side.changed_cipher = false;
        }
        self.renew_handshake();
    }

    // --- whether it is TLS ---

    /// Whether the flow is believed to be TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.said_hello
            || (self.hello_may_be_missed
                && self.verified
                && self.sides.iter().any(|side| side.records.iter().any(|count| *count > 0)))
    }

    /// A hello, which need not be readable.
    pub(crate) fn say_hello(&mut self, run: &mut Run, side: usize) {
        if !self.session_written {
            let began_ns = self.sides[side].header_ns;
            self.hello.get_or_insert_default().time_ns.get_or_insert(began_ns);
        }
        if !self.is_tentative {
            self.said_hello = true;
            self.hello_may_be_missed &= !self.is_dtls();
            self.release_held(run);
        }
    }

    // --- heartbeats ---

    /// Sealed from ChangeCipherSpec on, or as the record's epoch says. None where that may be missing.
    pub(crate) fn protection(&self, side: usize) -> Option<Protection> {
        if self.sides[side].sealed {
            Some(Protection::Sealed)
        } else if self.is_dtls() {
            Some(Protection::Clear)
        } else {
            let hello_missed = self.hello_may_be_missed && !self.said_hello;
            let change_missed = self.sides[side].lost && self.sides[1 - side].changed_cipher;
            if hello_missed || change_missed {
                None
            } else {
                Some(Protection::Clear)
            }
        }
    }

    /// RFC 6520 section 3. The numbers are those of `hbids.facts.Phase`.
    pub(crate) fn phase(&self) -> u8 {
        if self.sides.iter().all(|side| side.changed_cipher) {
            3
        } else if self.server_said_hello {
            2
        } else {
            let answers_missed = !self.is_dtls() && self.may_have_missed(1 - self.client());
            u8::from(!(self.hello_may_be_missed || answers_missed))
        }
    }

    /// Requests of a side that was joined late, lost bytes, or was not captured.
    pub(crate) fn may_have_missed(&self, side: usize) -> bool {
        let side = &self.sides[side];
        self.midstream || side.lost || side.has_lost() || side.packets == 0
    }

    /// The flow is over.
    pub(crate) fn end_session(&mut self, run: &mut Run) {
        self.end_heartbeats(run);
        if self.said_hello {
            self.end_handshake(run);
        }
    }
}

//! DTLS records in UDP datagrams: see `hbids/decode/reference/datagram.py` for the rules.

use crate::flow::Flow;
use crate::handshake_fragments::Pieces;
use crate::hello::MINIMUM_BYTES;
use crate::layers::Datagram;
use crate::record::{CHANGE_CIPHER_SPEC, CLIENT_HELLO, HANDSHAKE, HEARTBEAT, MAX_RECORD_BYTES, SERVER_HELLO};
use crate::run::Run;

const HEADER_BYTES: usize = 13;
const FRAGMENT_HEADER_BYTES: usize = 12;
const HELLO_VERIFY_REQUEST: u8 = 3;
const TLS12_CID: u8 = 25;
const UNIFIED_HAS_CID: u8 = 0x10;
const UNIFIED_LONG_SEQUENCE: u8 = 0x08;
const UNIFIED_HAS_LENGTH: u8 = 0x04;
const VERSIONS: [u16; 2] = [0xFEFF, 0xFEFD];
/// OpenSSL before 0.9.8f and Cisco AnyConnect: believed only after a hello, as other protocols have these bytes.
const BAD_VERSION: u16 = 0x0100;
/// Beyond these a header is no evidence: no session renegotiates that often, none lives that long.
const MOST_EPOCH: u16 = 0xFF;
const MOST_SEQUENCE: u64 = (1 << 40) - 1;
const WINDOW_BITS: u64 = 64;
const PROOF_RECORDS: u8 = 2;
/// Hellos in the making in one direction: real clients make one at a time.
const MOST_HELLOS: usize = 4;
/// Runs of a hello that were begun out of order; reordering on the way makes a few.
const MOST_RUNS: usize = 256;
/// What they take in memory beside hellos in the making.
const DATAGRAMS_BYTES: u64 = 512;
const RANDOM_AT: usize = 2;
const RANDOM_BYTES: usize = 32;

/// A record header.
#[derive(Clone, Copy)]
struct Record {
    kind: u8,
    version: u16,
    epoch: u16,
    sequence: u64,
    length: u16,
}

impl Record {
    /// A record header of an established flow: versions may lie, only 0xfe.. and 0x0100 hold.
    fn read(data: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = data.first_chunk()?;
        let (kind, version) = (header[0], u16::from_be_bytes([header[1], header[2]]));
        if !(CHANGE_CIPHER_SPEC..=TLS12_CID).contains(&kind) || (header[1] != 0xFE && version != BAD_VERSION) {
            return None;
        }
        Some(Self {
            kind,
            version,
            epoch: u16::from_be_bytes([header[3], header[4]]),
            sequence: header[5..11].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
            length: u16::from_be_bytes([header[11], header[12]]),
        })
    }

    /// As `read`, where DTLS itself is in question.
    fn read_first(data: &[u8]) -> Option<Self> {
        Self::read(data).filter(|record| {
            record.kind <= HEARTBEAT
                && (VERSIONS.contains(&record.version) || (record.version == BAD_VERSION && record.kind == HANDSHAKE))
                && record.epoch <= MOST_EPOCH
                && record.sequence <= MOST_SEQUENCE
                && record.length <= MAX_RECORD_BYTES
        })
    }
}

/// Which records of an epoch were seen lately. What lies before the window is read, and the window begins anew at it.
#[derive(Clone, Copy, Default)]
struct Window {
    epoch: u16,
    highest: u64,
    seen: u64,
}

impl Window {
    /// Whether this record is new; from now on it was seen.
    fn admits(&mut self, epoch: u16, sequence: u64) -> bool {
        let distance = sequence.abs_diff(self.highest);
        if self.seen == 0 || epoch != self.epoch || distance >= WINDOW_BITS {
            *self = Self { epoch, highest: sequence, seen: 1 };
            return true;
        }
        if sequence > self.highest {
            self.highest = sequence;
            self.seen = self.seen << distance | 1;
            return true;
        }
        let bit = 1 << distance;
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

/// What is known of the records of both directions; from the first datagram on that looks like DTLS.
#[derive(Default)]
pub(crate) struct Datagrams {
    /// By side, then clear and sealed.
    windows: [[Window; 2]; 2],
    hellos: [Vec<Pieces>; 2],
    client_random: Vec<u8>,
    proofs: u8,
}

impl Datagrams {
    pub(crate) fn held_bytes(&self) -> u64 {
        DATAGRAMS_BYTES + self.hellos.iter().flatten().map(Pieces::held_bytes).sum::<u64>()
    }
}

impl Flow {
    /// A datagram's payload.
    pub(crate) fn datagram(&mut self, run: &mut Run, side: usize, datagram: &Datagram<'_>) {
        let (data, length) = (datagram.payload(), datagram.length as usize);
        let mut fills = false;
        if !self.is_tls() {
            fills = fills_exactly(data, length);
            if !fills && !begins_with_hello(data, length) {
                return;
            }
        }
        self.datagrams.get_or_insert_default();
        self.has_payload = true;
        if data.len() < length {
            run.counters.datagrams_cut += 1;
        }
        let mut at = 0;
        while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
            if (0x20..0x40).contains(&rest[0]) {
                run.counters.dtls13_records += 1;
                at += unified_bytes(rest, length - at);
                continue;
            }
            let Some(record) = Record::read(rest) else {
                if at == 0 {
                    run.counters.datagrams_foreign += 1;
                } else if rest.len() >= HEADER_BYTES || data.len() == length {
                    run.counters.record_desync += 1;
                }
                return;
            };
            if record.kind == TLS12_CID {
                run.counters.dtls_cid_records += 1;
                return; // where it ends only the peers know
            }
            at += HEADER_BYTES;
            let claimed = usize::from(record.length);
            if claimed > length - at {
                run.counters.dtls_records_overrun += 1;
            }
            let body = &rest[HEADER_BYTES..];
            self.dtls_record(run, side, record, &body[..body.len().min(claimed)], fills);
            at += claimed;
        }
    }

    /// The flow is over.
    pub(crate) fn end_datagrams(&mut self, run: &mut Run) {
        if let Some(datagrams) = self.datagrams.take() {
            run.counters.hello_incomplete += datagrams.hellos.iter().map(|hellos| hellos.len() as u64).sum::<u64>();
        }
    }

    fn dtls_record(&mut self, run: &mut Run, side: usize, record: Record, body: &[u8], proves: bool) {
        let sealed = record.epoch > 0;
        if !self.admits(side, record) {
            if !self.begins_anew(record, body) {
                run.counters.dtls_records_replayed += 1;
                return;
            }
            self.forget_clear_records(side);
            self.admits(side, record);
        }
        let hellos = !sealed && record.kind == HANDSHAKE;
        let is_hello = hellos && matches!(body.first(), Some(&(CLIENT_HELLO | SERVER_HELLO | HELLO_VERIFY_REQUEST)));
        if !is_hello {
            self.joined_late();
        }
        if record.length > MAX_RECORD_BYTES {
            run.counters.record_overlong += 1;
        }
        let own = &mut self.sides[side];
        own.sealed = sealed;
        own.changed_cipher |= sealed;
        own.header_ns = run.time_ns;
        self.record_began(run, side, record.kind, record.version, record.length);
        if !body.is_empty() {
            self.record_body(run, side, body);
        }
        if hellos {
            self.read_messages(run, side, body);
        }
        let missing = u32::from(record.length) - u32::try_from(body.len()).unwrap_or(0);
        if missing > 0 {
            self.record_gap(run, side, missing);
        }
        self.record_ended(run, side);
        if proves {
            let Some(datagrams) = self.datagrams.as_mut() else {
                return;
            };
            datagrams.proofs = datagrams.proofs.saturating_add(1);
            if datagrams.proofs == PROOF_RECORDS {
                self.boundary_verified(run);
            }
        }
    }

    fn admits(&mut self, side: usize, record: Record) -> bool {
        self.datagrams.as_mut().is_some_and(|datagrams| {
            datagrams.windows[side][usize::from(record.epoch > 0)].admits(record.epoch, record.sequence)
        })
    }

    fn forget_clear_records(&mut self, side: usize) {
        if let Some(datagrams) = self.datagrams.as_mut() {
            datagrams.windows[side][0] = Window::default();
        }
    }

    // --- hellos ---

    /// Whether a ClientHello with this random is of another session than the last.
    fn is_new_client(&self, random: &[u8]) -> bool {
        self.server_said_hello && self.datagrams.as_ref().is_some_and(|datagrams| datagrams.client_random != random)
    }

    /// Whether a record whose number was used before begins another session's numbers.
    fn begins_anew(&self, record: Record, body: &[u8]) -> bool {
        record.epoch == 0
            && record.kind == HANDSHAKE
            && body.first() == Some(&CLIENT_HELLO)
            && body.get(6..9) == Some(&[0; 3])
            && body
                .get(FRAGMENT_HEADER_BYTES + RANDOM_AT..FRAGMENT_HEADER_BYTES + RANDOM_AT + RANDOM_BYTES)
                .is_some_and(|random| self.is_new_client(random))
    }

    fn read_messages(&mut self, run: &mut Run, side: usize, body: &[u8]) {
        let mut rest = body;
        while let Some((header, after)) = rest.split_first_chunk::<FRAGMENT_HEADER_BYTES>() {
            let be24 = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
            let (data, next) = after.split_at(after.len().min(be24(9) as usize));
            rest = next;
            match header[0] {
                HELLO_VERIFY_REQUEST => {
                    self.forget_clear_records(side); // a server that keeps no state begins to count after it
                    self.asked_for_cookie(run, side);
                }
                kind @ (CLIENT_HELLO | SERVER_HELLO) => {
                    let number = u16::from_be_bytes([header[4], header[5]]);
                    let hello = Pieces::new(kind, number, be24(1));
                    self.fragment(run, side, hello, be24(6) as usize, data);
                }
                _ => {}
            }
        }
    }

    fn fragment(&mut self, run: &mut Run, side: usize, hello: Pieces, offset: usize, data: &[u8]) {
        let (kind, length) = (hello.kind, hello.length as usize);
        if u64::from(hello.length) > run.limits.hello_bytes {
            if offset == 0 {
                run.counters.hello_too_long += 1;
            }
            self.say_hello(run, side);
            return;
        }
        if offset + data.len() > length {
            run.counters.hello_malformed += 1;
            return;
        }
        if !data.is_empty() && data.len() < length && length >= MINIMUM_BYTES {
            self.say_hello(run, side); // even if it never ends: OpenSSL answers meanwhile
        }
        let Some(datagrams) = self.datagrams.as_mut() else {
            return;
        };
        let hellos = &mut datagrams.hellos[side];
        let known = hellos.iter().position(|other| other.is_of(&hello));
        if data.len() == length {
            if let Some(at) = known {
                hellos.remove(at);
            }
            self.whole_hello(run, side, kind, data);
            return;
        }
        if data.is_empty() {
            return;
        }
        if known.is_none() {
            if hellos.len() == MOST_HELLOS {
                hellos.remove(0);
                run.counters.hello_incomplete += 1;
            }
            hellos.push(hello);
        }
        let at = known.unwrap_or(hellos.len() - 1);
        hellos[at].add(offset, data);
        if let Some(whole) = hellos[at].whole() {
            hellos.remove(at);
            self.whole_hello(run, side, kind, &whole);
        } else if hellos[at].run_count() > MOST_RUNS {
            hellos.remove(at);
            run.counters.hello_incomplete += 1;
        }
    }

    fn whole_hello(&mut self, run: &mut Run, side: usize, kind: u8, body: &[u8]) {
        if kind == CLIENT_HELLO {
            let end = body.len().min(RANDOM_AT + RANDOM_BYTES);
            let random = body.get(RANDOM_AT..end).unwrap_or(&[]);
            if self.is_new_client(random) {
                self.renew_session();
                self.forget_clear_records(0);
                self.forget_clear_records(1);
            }
            if let Some(datagrams) = self.datagrams.as_mut() {
                datagrams.client_random = random.to_vec();
            }
        }
        self.read_hello(run, side, kind, body);
    }
}

/// Whether a datagram is nothing but records of DTLS 1.0 and 1.2, as far as it was captured.
fn fills_exactly(data: &[u8], length: usize) -> bool {
    let mut at = 0;
    while at < length {
        let rest = data.get(at..).unwrap_or(&[]);
        match Record::read_first(rest).filter(|record| record.version != BAD_VERSION) {
            Some(record) => at += HEADER_BYTES + usize::from(record.length),
            None => return data.len() < length && at > 0 && rest.len() < HEADER_BYTES,
        }
    }
    at == length && at > 0
}

/// Whether a datagram begins with a record with a fragment of a hello; anything may follow.
fn begins_with_hello(data: &[u8], length: usize) -> bool {
    let Some(record) = Record::read_first(data) else {
        return false;
    };
    let Some(message) = data[HEADER_BYTES..].first_chunk::<FRAGMENT_HEADER_BYTES>() else {
        return false;
    };
    let be24 = |at: usize| u32::from_be_bytes([0, message[at], message[at + 1], message[at + 2]]);
    record.kind == HANDSHAKE
        && record.epoch == 0
        && usize::from(record.length) + HEADER_BYTES <= length
        && matches!(message[0], CLIENT_HELLO | SERVER_HELLO | HELLO_VERIFY_REQUEST)
        && be24(6) + be24(9) <= be24(1)
        && be24(9) as usize + FRAGMENT_HEADER_BYTES <= usize::from(record.length)
}

/// How much of a datagram this record of DTLS 1.3 takes (RFC 9147 section 4): without a length, or with a connection
/// id, all.
fn unified_bytes(data: &[u8], length: usize) -> usize {
    let first = data[0];
    let length_at = if first & UNIFIED_LONG_SEQUENCE == 0 { 2 } else { 3 };
    let field = data.get(length_at..length_at + 2).and_then(<[u8]>::first_chunk);
    match field {
        Some(field) if first & UNIFIED_HAS_CID == 0 && first & UNIFIED_HAS_LENGTH != 0 => {
            length_at + 2 + usize::from(u16::from_be_bytes(*field))
        }
        _ => length.max(1),
    }
}

//! Heartbeat messages of one flow: see `hbids/decode/reference/heartbeat.py` for which records make up a message, and
//! which request it answers.

use std::collections::VecDeque;

use crate::flow::Flow;
use crate::hello::FULL_FRAGMENT;
use crate::rows::Table;
use crate::run::Run;

const TYPE_REQUEST: i16 = 1;
const TYPE_RESPONSE: i16 = 2;
/// Type and payload_length.
const HEADER_BYTES: u16 = 3;
const PADDING_BYTES: u32 = 16;
/// RFC 6066 section 4; OpenSSL allows no smaller fragment either.
const SMALLEST_FRAGMENT: u16 = 512;
/// RC4-MD5 around 19 bytes, the smallest legal heartbeat of any suite.
const SMALLEST_SEALED_BYTES: u16 = 35;
const ABSENT: i32 = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    Clear = 1,
    Sealed = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request = 1,
    Response = 2,
    Malformed = 3,
}

/// What is remembered of a request until its answer comes.
#[derive(Clone, Copy)]
struct Request {
    message_id: u64,
    record_length: i32,
    claimed_length: i32,
    time_ns: i64,
}

const NO_REQUEST: Request = Request { message_id: 0, record_length: ABSENT, claimed_length: ABSENT, time_ns: 0 };

/// A message in the making.
struct Message {
    message_id: u64,
    time_ns: i64,
    end_time_ns: i64,
    kind: Kind,
    protection: Protection,
    phase: u8,
    message_type: i16,
    claimed_length: i32,
    record_version: u16,
    record_length: u16,
    last_record_length: u16,
    /// A record of another kind came behind it.
    interrupted: bool,
    request: Request,
    /// The request was seen, or could have been missed: later records may belong to this answer.
    may_continue: bool,
    gap: bool,
    lost_place: bool,
    reported_early: bool,
    records: u32,
    bytes_seen: u64,
    /// By the headers of all its records.
    bytes_claimed: u64,
}

impl Message {
    /// The answer has more than was sent, beyond what legal padding explains.
    fn exceeds_request(&self) -> bool {
        let sent = i64::from(self.request.record_length);
        if self.request.record_length == ABSENT {
            return false;
        }
        let seen = i64::try_from(self.bytes_seen).unwrap_or(i64::MAX);
        if self.protection == Protection::Sealed {
            return seen > sent + i64::from(PADDING_BYTES);
        }
        let header = i64::from(HEADER_BYTES);
        i64::from(self.claimed_length).min(seen - header) > (sent - header).max(0)
    }

    /// Header, claimed payload and padding.
    fn whole_bytes(&self) -> u64 {
        u64::from(HEADER_BYTES) + u64::from(self.claimed_length.max(0).unsigned_abs()) + u64::from(PADDING_BYTES)
    }

    /// Between records: whether another record may belong to this message.
    fn is_open(&self, fragment_bytes: u16) -> bool {
        if self.kind != Kind::Response || !self.may_continue {
            return false;
        }
        if self.protection == Protection::Sealed {
            return self.last_record_length == self.record_length && self.record_length >= fragment_bytes;
        }
        self.claimed_length != ABSENT
            && self.record_length >= SMALLEST_FRAGMENT
            && self.whole_bytes() > self.bytes_claimed
    }

    /// Whether an open message's next record would have this length.
    fn continues_with(&self, length: u16) -> bool {
        if self.protection == Protection::Sealed {
            return length <= self.record_length;
        }
        let (length, record) = (u64::from(length), u64::from(self.record_length));
        let left = self.whole_bytes().saturating_sub(self.bytes_claimed);
        if self.lost_place {
            // Records may be missing: any cut of the same answer will do.
            return length <= left && (length == record || length == self.whole_bytes() % record);
        }
        length == left.min(record)
    }
}

/// A heartbeat record of which too little has come to say what it is.
struct Opening {
    time_ns: i64,
    end_time_ns: i64,
    version: u16,
    length: u16,
    head: [u8; HEADER_BYTES as usize],
    head_length: u16,
}

impl Opening {
    fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_length)]
    }

    /// For a flow joined in mid-stream: clear when the bytes make sense as a header in a record too small to be
    /// sealed, or exactly as large as an answer or an honest message is.
    fn guess_protection(&self) -> Protection {
        if self.length == 0 {
            return Protection::Clear;
        }
        if !matches!(self.head().first(), Some(1 | 2)) {
            return Protection::Sealed;
        }
        if self.length < SMALLEST_SEALED_BYTES || self.length == FULL_FRAGMENT {
            return Protection::Clear;
        }
        let carried = u32::from(self.length - HEADER_BYTES);
        let claimed = self.head().get(1..).unwrap_or(&[]).iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        if claimed == carried || claimed + PADDING_BYTES == carried {
            Protection::Clear
        } else {
            Protection::Sealed
        }
    }
}

/// What they take in memory; each waiting request and each row held back takes more.
const HEARTBEATS_BYTES: u64 = 512;
const REQUEST_BYTES: u64 = 64;
const HELD_ROW_BYTES: u64 = 256;

/// The messages of both directions.
#[derive(Default)]
pub(crate) struct Heartbeats {
    openings: [Option<Opening>; 2],
    messages: [Option<Message>; 2],
    record_left: [u32; 2],
    pending: [VecDeque<Request>; 2],
    pub(crate) counts: [u32; 2],
    /// Since the first heartbeat: what shows whether a side that does not answer is alive.
    pub(crate) last_records: [LastRecord; 2],
    /// Rows kept back until the flow is known to be TLS.
    held: Table,
    held_rows: u64,
}

/// A record of another type than heartbeats. The larger of two is the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LastRecord {
    pub(crate) began_ns: i64,
    pub(crate) kind: u8,
}

/// There was none.
impl Default for LastRecord {
    fn default() -> Self {
        Self { began_ns: i64::MIN, kind: 0 }
    }
}

impl Heartbeats {
    pub(crate) fn held_bytes(&self) -> u64 {
        let requests: usize = self.pending.iter().map(VecDeque::len).sum();
        HEARTBEATS_BYTES + requests as u64 * REQUEST_BYTES + self.held_rows * HELD_ROW_BYTES
    }

    /// This side's requests that a sealed record may still answer.
    fn waiting(&mut self, run: &Run, side: usize) -> &mut VecDeque<Request> {
        let pending = &mut self.pending[side];
        while pending
            .front()
            .is_some_and(|oldest| run.time_ns.saturating_sub(oldest.time_ns) > run.limits.pending_wait_ns)
        {
            pending.pop_front();
        }
        pending
    }

    fn remember(&mut self, run: &mut Run, side: usize, request: Request) {
        let pending = &mut self.pending[side];
        if pending.len() as u64 >= run.limits.pending_requests && pending.pop_front().is_some() {
            run.counters.pending_requests_dropped += 1;
        }
        pending.push_back(request);
    }

    /// The request this clear answer echoes: same claim, else one whose claim could not be read, else the oldest.
    fn request_answered(&mut self, side: usize, claimed: i32) -> Option<Request> {
        let pending = &mut self.pending[1 - side];
        for wanted in [claimed, ABSENT] {
            if let Some(index) = pending.iter().position(|request| request.claimed_length == wanted) {
                return pending.remove(index);
            }
        }
        pending.pop_front()
    }

    /// Of a record that is no message: the request to whose answer it belongs, if one that was asked for would be cut so.
    fn request_of_lost_answer(&mut self, side: usize, length: u16, fragment: u16) -> Option<Request> {
        let pending = &mut self.pending[1 - side];
        let fragment = i32::from(fragment);
        let index = pending.iter().position(|request| {
            let whole = i32::from(HEADER_BYTES) + request.claimed_length + PADDING_BYTES as i32;
            whole > fragment && [fragment, whole % fragment].contains(&i32::from(length))
        })?;
        pending.remove(index)
    }

    /// The waiting request this sealed answer echoes: an honest one is as long. Else the smallest, so that a large decoy
    /// which nobody answers does not make a leak look like an echo.
    fn sealed_request_answered(&mut self, run: &Run, side: usize, length: u16, fragment: u16) -> Option<Request> {
        let waiting = self.waiting(run, 1 - side);
        let echoes = |request: &Request| length < fragment && request.record_length == i32::from(length);
        let index = waiting.iter().position(echoes).or_else(|| {
            let smallest = waiting.iter().enumerate().min_by_key(|(_, request)| request.record_length)?;
            Some(smallest.0)
        })?;
        waiting.remove(index)
    }

    /// Whether a sealed record that could continue this side's answer is rather a message of its own.
    fn begins_anew(&mut self, run: &Run, side: usize, length: u16, fragment: u16) -> bool {
        self.waiting(run, 1 - side);
        let Some(message) = self.messages[side].as_ref() else {
            return false;
        };
        let waiting = &self.pending[1 - side];
        if !message.exceeds_request() {
            let late = run.time_ns.saturating_sub(message.end_time_ns) > run.limits.answer_wait_ns;
            return !waiting.is_empty() || message.interrupted || late;
        }
        let length = i32::from(length);
        waiting.iter().any(|request| {
            (request.record_length == length && length < i32::from(fragment))
                || length > request.record_length + PADDING_BYTES as i32
        })
    }
}

impl Flow {
    fn protection(&self, side: usize) -> Option<Protection> {
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

    /// The numbers are those of `hbids.facts.Phase`.
    fn phase(&self) -> u8 {
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

    /// A header of type 24.
    pub(crate) fn heartbeat_began(&mut self, run: &mut Run, side: usize, version: u16, length: u16) {
        let sealed = self.protection(side) == Some(Protection::Sealed);
        let fragment_bytes = self.fragment_bytes;
        let heartbeats = self.heartbeats.get_or_insert_default();
        heartbeats.record_left[side] = u32::from(length);
        let begins_anew = sealed && heartbeats.begins_anew(run, side, length, fragment_bytes);
        if let Some(message) = heartbeats.messages[side].as_mut() {
            if sealed == (message.protection == Protection::Sealed)
                && message.is_open(fragment_bytes)
                && message.continues_with(length)
                && !begins_anew
            {
                message.records = message.records.saturating_add(1);
                message.bytes_claimed += u64::from(length);
                message.last_record_length = length;
                return;
            }
            self.finish_message(run, side);
        }
        let opening = Opening {
            time_ns: self.sides[side].header_ns,
            end_time_ns: run.time_ns,
            version,
            length,
            head: [0; 3],
            head_length: 0,
        };
        if length == 0 || sealed {
            self.begin_message(run, side, &opening, 0);
        } else if let Some(heartbeats) = self.heartbeats.as_mut() {
            heartbeats.openings[side] = Some(opening);
        }
    }

    /// A header of another type.
    pub(crate) fn other_record_began(&mut self, side: usize, kind: u8) {
        let began_ns = self.sides[side].header_ns;
        if let Some(heartbeats) = self.heartbeats.as_mut() {
            heartbeats.last_records[side] = LastRecord { began_ns, kind };
        }
        if let Some(message) = self.message(side) {
            message.interrupted = true;
        }
    }

    /// Some of its body.
    pub(crate) fn heartbeat_body(&mut self, run: &mut Run, side: usize, data: &[u8]) {
        let Some(heartbeats) = self.heartbeats.as_mut() else {
            return;
        };
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        heartbeats.record_left[side] = heartbeats.record_left[side].saturating_sub(length);
        let mut before = 0;
        if let Some(mut opening) = heartbeats.openings[side].take() {
            before = u64::from(opening.head_length);
            let have = usize::from(opening.head_length);
            let wanted = usize::from(opening.length.min(HEADER_BYTES));
            let taken = data.len().min(wanted - have);
            opening.head[have..have + taken].copy_from_slice(&data[..taken]);
            opening.head_length += u16::try_from(taken).unwrap_or(0);
            opening.end_time_ns = run.time_ns;
            if have + taken < wanted {
                heartbeats.openings[side] = Some(opening);
                return;
            }
            self.begin_message(run, side, &opening, 0);
        }
        self.add_to_message(run, side, before + data.len() as u64);
    }

    /// Some of its body is missing.
    pub(crate) fn heartbeat_gap(&mut self, run: &mut Run, side: usize, length: u32) {
        if let Some(heartbeats) = self.heartbeats.as_mut() {
            heartbeats.record_left[side] = heartbeats.record_left[side].saturating_sub(length);
        }
        self.begin_with_what_is_there(run, side);
        if let Some(message) = self.message(side) {
            message.gap = true;
        }
    }

    /// The body is over: so is the message, unless it may go on in another record.
    pub(crate) fn heartbeat_ended(&mut self, run: &mut Run, side: usize) {
        let fragment_bytes = self.fragment_bytes;
        match self.message(side) {
            None => {}
            Some(message) if message.is_open(fragment_bytes) => self.report_early(run, side),
            Some(_) => self.finish_message(run, side),
        }
    }

    /// Records may be missing from here on.
    pub(crate) fn heartbeats_lost_place(&mut self, side: usize) {
        if let Some(message) = self.message(side) {
            message.gap = true;
            message.lost_place = true;
        }
    }

    /// The flow is over.
    pub(crate) fn end_heartbeats(&mut self, run: &mut Run) {
        for side in 0..2 {
            self.begin_with_what_is_there(run, side);
            self.finish_message(run, side);
        }
        if let Some(heartbeats) = self.heartbeats.as_ref() {
            run.counters.heartbeats_without_tls += heartbeats.held_rows;
        }
    }

    fn message(&mut self, side: usize) -> Option<&mut Message> {
        self.heartbeats.as_mut()?.messages[side].as_mut()
    }

    fn begin_with_what_is_there(&mut self, run: &mut Run, side: usize) {
        let opening = self.heartbeats.as_mut().and_then(|heartbeats| heartbeats.openings[side].take());
        if let Some(opening) = opening {
            self.begin_message(run, side, &opening, u64::from(opening.head_length));
        }
    }

    fn begin_message(&mut self, run: &mut Run, side: usize, opening: &Opening, bytes_seen: u64) {
        let protection = self.protection(side).unwrap_or_else(|| opening.guess_protection());
        let phase = self.phase();
        let spans_records = !self.is_dtls();
        let may_have_missed = self.may_have_missed(1 - side);
        let may_have_lost = self.may_have_missed(side);
        let fragment_bytes = self.fragment_bytes;
        // No honest request is so long: a full-size record of a server answers one that was not captured.
        let answers_the_unseen = opening.length >= fragment_bytes && side != self.client() && may_have_missed;
        let Some(heartbeats) = self.heartbeats.as_mut() else {
            return;
        };
        let (mut message_type, mut claimed_length) = (-1, ABSENT);
        let mut beginning_lost = false;
        let (kind, request) = if protection == Protection::Clear {
            message_type = opening.head().first().map_or(-1, |byte| i16::from(*byte));
            if opening.head_length == HEADER_BYTES {
                claimed_length = i32::from(u16::from_be_bytes([opening.head[1], opening.head[2]]));
            }
            match message_type {
                TYPE_REQUEST if opening.length >= HEADER_BYTES => (Kind::Request, None),
                TYPE_RESPONSE if opening.length >= HEADER_BYTES => {
                    (Kind::Response, heartbeats.request_answered(side, claimed_length))
                }
                _ => {
                    let may_be_lost = spans_records && may_have_lost;
                    let request = may_be_lost
                        .then(|| heartbeats.request_of_lost_answer(side, opening.length, fragment_bytes))
                        .flatten();
                    beginning_lost = request.is_some();
                    claimed_length = request.map_or(claimed_length, |request| request.claimed_length);
                    (if beginning_lost { Kind::Response } else { Kind::Malformed }, request)
                }
            }
        } else {
            let answered = heartbeats.sealed_request_answered(run, side, opening.length, fragment_bytes);
            (if answered.is_some() || answers_the_unseen { Kind::Response } else { Kind::Request }, answered)
        };
        let message = Message {
            message_id: run.next_message_id(),
            time_ns: opening.time_ns,
            end_time_ns: opening.end_time_ns,
            kind,
            protection,
            phase,
            message_type,
            claimed_length,
            record_version: opening.version,
            record_length: opening.length,
            last_record_length: opening.length,
            interrupted: false,
            request: request.unwrap_or(NO_REQUEST),
            may_continue: spans_records && (request.is_some() || may_have_missed),
            gap: beginning_lost,
            lost_place: beginning_lost,
            reported_early: false,
            records: 1,
            bytes_seen,
            bytes_claimed: u64::from(opening.length),
        };
        heartbeats.counts[side] = heartbeats.counts[side].saturating_add(1);
        if kind == Kind::Request || (kind == Kind::Malformed && message_type == TYPE_REQUEST) {
            let request = Request {
                message_id: message.message_id,
                record_length: i32::from(message.record_length),
                claimed_length,
                time_ns: message.time_ns,
            };
            heartbeats.remember(run, side, request);
        }
        heartbeats.messages[side] = Some(message);
    }

    fn add_to_message(&mut self, run: &mut Run, side: usize, length: u64) {
        let Some(heartbeats) = self.heartbeats.as_mut() else {
            return;
        };
        let Some(message) = heartbeats.messages[side].as_mut() else {
            return;
        };
        message.bytes_seen += length;
        message.end_time_ns = run.time_ns;
        if heartbeats.record_left[side] > 0 {
            self.report_early(run, side);
        }
    }

    fn report_early(&mut self, run: &mut Run, side: usize) {
        if let Some(mut message) = self.heartbeats.as_mut().and_then(|heartbeats| heartbeats.messages[side].take()) {
            if message.kind == Kind::Response && !message.reported_early && message.exceeds_request() {
                message.reported_early = true;
                self.emit_heartbeat(run, side, &message, false);
            }
            if let Some(heartbeats) = self.heartbeats.as_mut() {
                heartbeats.messages[side] = Some(message);
            }
        }
    }

    fn finish_message(&mut self, run: &mut Run, side: usize) {
        if let Some(message) = self.heartbeats.as_mut().and_then(|heartbeats| heartbeats.messages[side].take()) {
            self.emit_heartbeat(run, side, &message, true);
        }
    }

    /// Write a row, or hold it back until the flow is known to be TLS.
    fn emit_heartbeat(&mut self, run: &mut Run, side: usize, message: &Message, is_final: bool) {
        let is_tls = self.is_tls();
        let mut row = Table::default();
        let table = if is_tls { &mut run.rows.heartbeats } else { &mut row };
        let (mut payload, mut padding) = (ABSENT, ABSENT);
        if message.claimed_length != ABSENT {
            let carried = message.bytes_seen.saturating_sub(u64::from(HEADER_BYTES));
            let carried = i32::try_from(carried).unwrap_or(i32::MAX);
            payload = message.claimed_length.min(carried);
            padding = carried - payload;
        }
        table.i64(message.time_ns);
        table.i64(message.end_time_ns);
        table.u64(message.message_id);
        table.u64(self.flow_id);
        self.put_endpoints(table);
        table.u8(self.transport());
        table.u8(if self.client() == side { 1 } else { 2 });
        table.u8(message.protection as u8);
        table.u8(message.kind as u8);
        table.u8(message.phase);
        table.flag(is_final);
        table.flag(message.gap);
        table.flag(self.hello_may_be_missed);
        table.i16(message.message_type);
        table.u16(message.record_version);
        table.u32(u32::from(message.record_length));
        table.u64(message.bytes_seen);
        table.u32(message.records);
        table.i32(message.claimed_length);
        table.i32(payload);
        table.i32(padding);
        table.u64(message.request.message_id);
        table.i32(message.request.record_length);
        table.i32(message.request.claimed_length);
        table.u16(self.cipher_suite);
        table.u16(self.tls_version);
        table.u8(self.encrypt_then_mac);
        table.i16(self.heartbeat_accepted);
        self.put_so_far(run.packet_number, table);
        table.end_row();
        if is_tls {
            return;
        }
        if let Some(heartbeats) = self.heartbeats.as_mut() {
            if heartbeats.held_rows < run.limits.held_heartbeats {
                heartbeats.held.append(&mut row);
                heartbeats.held_rows += 1;
            } else {
                run.counters.held_heartbeats_dropped += 1;
            }
        }
    }

    pub(crate) fn release_held(&mut self, run: &mut Run) {
        let is_tls = self.is_tls();
        if let Some(heartbeats) = self.heartbeats.as_mut() {
            if is_tls && heartbeats.held_rows > 0 {
                run.rows.heartbeats.append(&mut heartbeats.held);
                heartbeats.held_rows = 0;
            }
        }
    }
}

//! Heartbeat records of one flow: see `hbids/decode/reference/heartbeat.py` for which of them make up a message.

use crate::flow::Flow;
use crate::heartbeat_message::{
    Kind, Message, Opening, Protection, Request, ABSENT, HEADER_BYTES, NO_REQUEST, PADDING_BYTES, TYPE_REQUEST,
    TYPE_RESPONSE,
};
use crate::heartbeat_pairing::Pairing;
use crate::heartbeat_row::HeldRows;
use crate::run::Run;

/// What they take in memory, beside requests that wait and rows that are held back.
const HEARTBEATS_BYTES: u64 = 512;

/// The messages of both directions.
#[derive(Default)]
pub(crate) struct Heartbeats {
    openings: [Option<Opening>; 2],
    messages: [Option<Message>; 2],
    record_left: [u32; 2],
    pairing: Pairing,
    pub(crate) counts: [u32; 2],
    /// Since the first heartbeat: what shows whether a side that does not answer is alive.
    pub(crate) last_records: [LastRecord; 2],
    pub(crate) held: HeldRows,
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
        HEARTBEATS_BYTES + self.pairing.held_bytes() + self.held.held_bytes()
    }

    /// Whether a sealed record that could continue this side's answer is rather a message of its own.
    fn begins_anew(&mut self, run: &Run, side: usize, length: u16, fragment: u16) -> bool {
        let waiting = self.pairing.waiting(run, 1 - side);
        let Some(message) = self.messages[side].as_ref() else {
            return false;
        };
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
            run.counters.heartbeats_without_tls += heartbeats.held.count();
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
                    (Kind::Response, heartbeats.pairing.request_answered(side, claimed_length))
                }
                _ => {
                    let may_be_lost = spans_records && may_have_lost;
                    let request = may_be_lost
                        .then(|| heartbeats.pairing.request_of_lost_answer(side, opening.length, fragment_bytes))
                        .flatten();
                    beginning_lost = request.is_some();
                    claimed_length = request.map_or(claimed_length, |request| request.claimed_length);
                    (if beginning_lost { Kind::Response } else { Kind::Malformed }, request)
                }
            }
        } else {
            let answered = heartbeats.pairing.sealed_request_answered(run, side, opening.length, fragment_bytes);
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
            heartbeats.pairing.remember(run, side, request);
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
}

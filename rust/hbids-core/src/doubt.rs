//! Segments that their receiver may have refused: see `hbids/decode/reference/doubt.py` for what is doubted and why.

use crate::flow::Flow;
use crate::layers::Segment;
use crate::run::Run;
use crate::side::Side;
use crate::stream::distance;

/// Why a receiver may refuse a segment: none, or some of these added up.
pub(crate) type Reasons = u8;
pub(crate) const NO_DOUBT: Reasons = 0;
pub(crate) const WRONG_CHECKSUM: Reasons = 1;
pub(crate) const LOW_TTL: Reasons = 2;
pub(crate) const FUTURE_ACK: Reasons = 4;

/// A segment that waits for its judgement. `data` may be shorter than `length` (snap length).
pub(crate) struct Doubtful {
    pub(crate) seq: u32,
    pub(crate) length: u32,
    pub(crate) data: Box<[u8]>,
    pub(crate) reasons: Reasons,
    ttl: u8,
    ack: u32,
}

/// What is known of a side's checksums.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checksums {
    Unknown,
    /// All of them so far: the capture was taken before a network card filled them in.
    Wrong,
    /// Some were right: a wrong one is none of this host's.
    Right,
    /// The receiver has taken a wrong one.
    Ignored,
}

/// What is known of one side's packets, by which others of them are judged.
pub(crate) struct Credit {
    checksums: Checksums,
    /// The lowest that a receiver was seen to take.
    taken_ttl: u8,
}

impl Credit {
    pub(crate) fn new() -> Self {
        Self { checksums: Checksums::Unknown, taken_ttl: u8::MAX }
    }

    pub(crate) fn has_low_ttl(&self, ttl: u8, highest: u8) -> bool {
        ttl < highest.min(self.taken_ttl)
    }

    /// Whether a packet has a wrong checksum on a side that makes right ones. Looked at only where it `matters`, or where
    /// nothing is known yet.
    #[inline]
    pub(crate) fn has_wrong_checksum(&mut self, matters: bool, is_right: impl FnOnce() -> Option<bool>) -> bool {
        if self.checksums == Checksums::Ignored || !(matters || self.checksums == Checksums::Unknown) {
            return false;
        }
        match is_right() {
            None => false,
            Some(true) => {
                self.checksums = Checksums::Right;
                false
            }
            Some(false) => {
                if self.checksums == Checksums::Unknown {
                    self.checksums = Checksums::Wrong;
                }
                self.checksums == Checksums::Right
            }
        }
    }

    /// The receiver took a segment in spite of all doubts.
    fn was_taken(&mut self, doubtful: &Doubtful) {
        if doubtful.reasons & WRONG_CHECKSUM != 0 {
            self.checksums = Checksums::Ignored;
        }
        if doubtful.reasons & LOW_TTL != 0 {
            self.taken_ttl = self.taken_ttl.min(doubtful.ttl);
        }
    }
}

impl Side {
    /// Whether an acknowledgement speaks of bytes that were not captured (yet). Of more than a FIN, which counts as one.
    pub(crate) fn is_unseen(&self, ack: u32) -> bool {
        self.started
            && distance(ack, self.next_seq) > 1
            && self.holes.as_ref().and_then(|holes| holes.lost_until).is_none_or(|lost| distance(ack, lost) > 0)
    }

    /// Whether bytes of this side were acknowledged that the capture lacks.
    pub(crate) fn has_lost(&self) -> bool {
        self.holes.as_ref().is_some_and(|holes| holes.lost_until.is_some())
    }

    /// The other side has taken bytes that were not captured.
    fn lose_before(&mut self, ack: u32) {
        if self.is_unseen(ack) {
            self.holes.get_or_insert_default().lost_until = Some(ack);
        }
    }

    fn has_doubtful(&self) -> bool {
        self.holes.as_ref().is_some_and(|holes| !holes.doubtful.is_empty())
    }

    /// Whether other bytes have taken its place.
    fn is_replaced(&self, doubtful: &Doubtful) -> bool {
        i64::from(distance(doubtful.seq, self.next_seq)) + i64::from(doubtful.length) <= 0
    }
}

impl Flow {
    /// Keep a segment until it is known whether its receiver took it.
    pub(crate) fn keep_doubtful(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>, reasons: Reasons) {
        let doubtful = Doubtful {
            seq: segment.seq,
            length: segment.length,
            data: segment.payload().into(),
            reasons,
            ttl: segment.ttl,
            ack: segment.ack,
        };
        let own = &mut self.sides[side];
        if own.is_replaced(&doubtful) {
            let ahead = i64::from(distance(doubtful.seq, own.next_seq));
            if own.contradicts_tail(ahead, &doubtful.data, doubtful.length) {
                run.counters.segments_refused += 1;
            } else {
                run.counters.segments_repeated += 1;
            }
            return;
        }
        own.holes.get_or_insert_default().keep_doubtful(run, doubtful);
        self.make_room(run, side);
    }

    /// Judge doubtful segments by what is known now.
    pub(crate) fn settle(&mut self, run: &mut Run, side: usize) {
        if !self.sides[side].has_doubtful() {
            return;
        }
        let (own, other) = (&self.sides[side], &self.sides[1 - side]);
        let acked = own.ack_seen.then_some(own.acked);
        let is_taken = |doubtful: &Doubtful| {
            acked.is_some_and(|acked| i64::from(distance(acked, doubtful.seq)) >= i64::from(doubtful.length))
                || (doubtful.reasons == FUTURE_ACK && !other.is_unseen(doubtful.ack))
        };
        let Some(holes) = own.holes.as_ref().filter(|holes| holes.doubtful.iter().any(is_taken)) else {
            return;
        };
        let marks: Vec<bool> = holes.doubtful.iter().map(is_taken).collect();
        let mut is_new = false;
        for doubtful in self.take_doubtful(run, side, &marks) {
            let [low, high] = &mut self.sides;
            let (own, other) = if side == 0 { (low, high) } else { (high, low) };
            if own.is_replaced(&doubtful) {
                run.counters.segments_refused += 1;
                continue;
            }
            own.credit.was_taken(&doubtful);
            other.lose_before(doubtful.ack);
            is_new |= self.segment(run, side, doubtful.seq, &doubtful.data, doubtful.length);
        }
        if is_new {
            self.reopen();
        }
    }

    /// Nothing will come any more. What the receiver could have acknowledged and did not is a decoy.
    pub(crate) fn end_doubtful(&mut self, run: &mut Run, side: usize) {
        if !self.sides[side].has_doubtful() {
            return;
        }
        let all = vec![true; self.sides[side].holes.as_ref().map_or(0, |holes| holes.doubtful.len())];
        for doubtful in self.take_doubtful(run, side, &all) {
            let own = &self.sides[side];
            let is_credible = !own.ack_seen || doubtful.reasons == FUTURE_ACK;
            if is_credible && !own.is_replaced(&doubtful) {
                self.sides[1 - side].lose_before(doubtful.ack);
                self.segment(run, side, doubtful.seq, &doubtful.data, doubtful.length);
            } else {
                run.counters.segments_refused += 1;
            }
        }
    }

    /// Let doubtful segments fill a hole that begins at the next byte.
    pub(crate) fn fill_with_doubtful(&mut self, run: &mut Run, side: usize, hole_bytes: i32) {
        let own = &self.sides[side];
        if !own.has_doubtful() {
            return;
        }
        let is_within = |doubtful: &Doubtful| distance(doubtful.seq, own.next_seq) < hole_bytes;
        let marks: Vec<bool> =
            own.holes.as_ref().map(|holes| holes.doubtful.iter().map(is_within).collect()).unwrap_or_default();
        for doubtful in self.take_doubtful(run, side, &marks) {
            self.segment(run, side, doubtful.seq, &doubtful.data, doubtful.length);
        }
    }

    fn take_doubtful(&mut self, run: &mut Run, side: usize, marks: &[bool]) -> Vec<Doubtful> {
        self.sides[side].holes.as_mut().map(|holes| holes.take_doubtful(run, marks)).unwrap_or_default()
    }
}

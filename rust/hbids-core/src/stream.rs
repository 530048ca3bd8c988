//! One direction of a TCP connection, back in order: see `hbids/decode/reference/stream.py` for the policy.

use crate::flow::{Flow, Side};
use crate::run::Run;

/// Charged for each waiting segment, so that one-byte segments cannot make the list long.
const PIECE_OVERHEAD_BYTES: u64 = 512;

/// `later - earlier` in 32-bit sequence space (RFC 9293 section 3.4).
pub(crate) fn distance(later: u32, earlier: u32) -> i32 {
    i32::from_ne_bytes(later.wrapping_sub(earlier).to_ne_bytes())
}

/// A segment that waits behind a hole. `data` may be shorter than `length` (snap length).
pub(crate) struct Piece {
    pub(crate) seq: u32,
    pub(crate) length: u32,
    pub(crate) data: Box<[u8]>,
}

impl Piece {
    fn cost(&self) -> u64 {
        self.data.len() as u64 + PIECE_OVERHEAD_BYTES
    }

    /// Where it begins and ends, counted from `next_seq`.
    fn span(&self, next_seq: u32) -> (i64, i64) {
        let at = i64::from(distance(self.seq, next_seq));
        (at, at + i64::from(self.length))
    }
}

/// What is kept of a direction once bytes of it were out of order or missing.
#[derive(Default)]
pub(crate) struct Holes {
    waiting: Vec<Piece>,
    waiting_bytes: u64,
    since_ns: i64,
    pub(crate) gaps: u32,
    pub(crate) gap_bytes: u64,
}

impl Holes {
    fn charge(&mut self, run: &mut Run, cost: u64) {
        self.waiting_bytes += cost;
        run.out_of_order_bytes += cost;
    }

    pub(crate) fn take_waiting(&mut self, run: &mut Run) -> Vec<Piece> {
        run.out_of_order_bytes -= std::mem::take(&mut self.waiting_bytes);
        std::mem::take(&mut self.waiting)
    }

    fn insert(&mut self, run: &mut Run, index: usize, piece: Piece) {
        self.charge(run, piece.cost());
        self.waiting.insert(index, piece);
    }

    fn remove_first(&mut self, run: &mut Run) -> Piece {
        let piece = self.waiting.remove(0);
        self.waiting_bytes -= piece.cost();
        run.out_of_order_bytes -= piece.cost();
        piece
    }
}

impl Side {
    /// The other side has everything before `ack`.
    pub(crate) fn acknowledge(&mut self, ack: u32) {
        if !self.ack_seen || distance(ack, self.acked) > 0 {
            self.acked = ack;
            self.ack_seen = true;
        }
    }

    fn first_waiting(&self) -> Option<&Piece> {
        self.holes.as_ref()?.waiting.first()
    }
}

impl Flow {
    /// Take a segment. True when it brought anything new in order.
    pub(crate) fn segment(&mut self, run: &mut Run, side: usize, seq: u32, data: &[u8], length: u32) -> bool {
        let ahead = i64::from(distance(seq, self.sides[side].next_seq));
        if ahead > 0 {
            self.wait(run, side, ahead, data, length);
            return false;
        }
        if ahead + i64::from(length) <= 0 {
            run.counters.segments_repeated += 1;
            return false;
        }
        let old = ahead.unsigned_abs();
        let new_length = u32::try_from(u64::from(length) - old).unwrap_or(0);
        let data = usize::try_from(old).ok().and_then(|old| data.get(old..)).unwrap_or(&[]);
        self.deliver(run, side, data, new_length);
        self.drain(run, side);
        true
    }

    /// Give up the first hole if it has been open for too long.
    pub(crate) fn check_hole(&mut self, run: &mut Run, side: usize) {
        let own = &self.sides[side];
        let (Some(first), Some(holes)) = (own.first_waiting(), own.holes.as_ref()) else {
            return;
        };
        let wait_ns = if !own.ack_seen {
            run.limits.hole_wait_ns
        } else if distance(own.acked, first.seq) >= 0 {
            run.limits.hole_acked_wait_ns
        } else {
            return; // the receiver waits too; what lies behind may be a decoy that it never took
        };
        if run.time_ns.saturating_sub(holes.since_ns) >= wait_ns {
            self.skip_hole(run, side);
        }
    }

    /// Nothing will come any more: give up every hole.
    pub(crate) fn end_stream(&mut self, run: &mut Run, side: usize) {
        while self.sides[side].first_waiting().is_some() {
            self.skip_hole(run, side);
        }
    }

    fn deliver(&mut self, run: &mut Run, side: usize, data: &[u8], length: u32) {
        let own = &mut self.sides[side];
        own.next_seq = own.next_seq.wrapping_add(length);
        if !data.is_empty() {
            self.feed(run, side, data);
        }
        let missing = u64::from(length).saturating_sub(data.len() as u64);
        if missing > 0 {
            self.lose(run, side, missing);
        }
    }

    fn lose(&mut self, run: &mut Run, side: usize, length: u64) {
        let holes = self.sides[side].holes.get_or_insert_default();
        holes.gaps = holes.gaps.saturating_add(1);
        holes.gap_bytes += length;
        run.counters.stream_gaps += 1;
        self.gap(run, side, length);
    }

    /// Keep a segment that lies ahead of a hole, but only the parts that no earlier piece covers.
    fn wait(&mut self, run: &mut Run, side: usize, ahead: i64, data: &[u8], length: u32) {
        let own = &mut self.sides[side];
        let next_seq = own.next_seq;
        let holes = own.holes.get_or_insert_default();
        if holes.waiting.is_empty() {
            holes.since_ns = run.time_ns;
        }
        let end = ahead + i64::from(length);
        let mut at = ahead;
        let mut index = holes.waiting.partition_point(|piece| piece.span(next_seq).0 < ahead);
        if let Some(before) = index.checked_sub(1).and_then(|index| holes.waiting.get(index)) {
            at = at.max(before.span(next_seq).1);
        }
        while at < end {
            let following = holes.waiting.get(index).map(|piece| piece.span(next_seq));
            let until = following.map_or(end, |(begin, _)| end.min(begin));
            if at < until {
                let new_length = u32::try_from(until - at).unwrap_or(0);
                let skip = usize::try_from(at - ahead).unwrap_or(usize::MAX);
                let rest = data.get(skip..).unwrap_or(&[]);
                let kept = rest.len().min(usize::try_from(new_length).unwrap_or(0));
                let offset = u32::try_from(at).unwrap_or(0);
                let piece = Piece { seq: next_seq.wrapping_add(offset), length: new_length, data: rest[..kept].into() };
                holes.insert(run, index, piece);
                index += 1;
            }
            match following {
                Some((_, covered)) => at = at.max(covered),
                None => break,
            }
            index += 1;
        }
        while self.sides[side].first_waiting().is_some() && self.waits_too_much(run, side) {
            self.skip_hole(run, side);
        }
    }

    fn waits_too_much(&self, run: &Run, side: usize) -> bool {
        let own_bytes = self.sides[side].holes.as_ref().map_or(0, |holes| holes.waiting_bytes);
        own_bytes > run.limits.out_of_order_bytes || run.out_of_order_bytes > run.limits.out_of_order_bytes_total
    }

    fn skip_hole(&mut self, run: &mut Run, side: usize) {
        let own = &mut self.sides[side];
        let Some(first_seq) = own.first_waiting().map(|piece| piece.seq) else {
            return;
        };
        let hole = distance(first_seq, own.next_seq);
        own.next_seq = first_seq;
        if let Some(holes) = own.holes.as_mut() {
            holes.since_ns = run.time_ns;
        }
        self.lose(run, side, u64::from(hole.unsigned_abs()));
        self.drain(run, side);
    }

    /// Deliver what is in order now.
    fn drain(&mut self, run: &mut Run, side: usize) {
        if self.sides[side].holes.is_none() {
            return;
        }
        let mut drained = false;
        loop {
            let own = &mut self.sides[side];
            let next_seq = own.next_seq;
            let Some(holes) = own.holes.as_mut() else { break };
            match holes.waiting.first() {
                Some(piece) if distance(piece.seq, next_seq) <= 0 => {}
                _ => break,
            }
            let piece = holes.remove_first(run);
            drained = true;
            let late = distance(next_seq, piece.seq).unsigned_abs();
            if late < piece.length {
                let skip = usize::try_from(late).unwrap_or(usize::MAX);
                self.deliver(run, side, piece.data.get(skip..).unwrap_or(&[]), piece.length - late);
            }
        }
        if drained {
            if let Some(holes) = self.sides[side].holes.as_mut() {
                holes.since_ns = run.time_ns;
            }
        }
    }
}

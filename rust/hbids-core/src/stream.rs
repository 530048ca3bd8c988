//! One direction of a TCP connection, back in order: see `hbids/decode/reference/stream.py` for the policy.

use std::collections::VecDeque;

use crate::doubt::Doubtful;
use crate::flow::Flow;
use crate::run::Run;
use crate::side::Side;

/// Charged for each waiting segment, so that one-byte segments cannot make the list long.
pub(crate) const PIECE_OVERHEAD_BYTES: u64 = 512;
/// Of what was delivered last, kept to compare copies with: twice the shortest heartbeat request.
pub(crate) const TAIL_BYTES: usize = 16;

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

fn cost(data: &[u8]) -> u64 {
    data.len() as u64 + PIECE_OVERHEAD_BYTES
}

impl Piece {
    /// Where it begins and ends, counted from `next_seq`.
    fn span(&self, next_seq: u32) -> (i64, i64) {
        let at = i64::from(distance(self.seq, next_seq));
        (at, at + i64::from(self.length))
    }

    /// Whether a segment has other bytes than this, where both have some.
    fn contradicts(&self, next_seq: u32, ahead: i64, data: &[u8]) -> bool {
        let begin = self.span(next_seq).0 - ahead;
        let (one, other) = (part(data, begin.max(0), i64::MAX), part(&self.data, (-begin).max(0), i64::MAX));
        let both = one.len().min(other.len());
        one[..both] != other[..both]
    }
}

/// The bytes from `begin` to `end`, as far as they are there.
fn part(of: &[u8], begin: i64, end: i64) -> &[u8] {
    let place = |at: i64| usize::try_from(at).unwrap_or(0).min(of.len());
    &of[place(begin)..place(end).max(place(begin))]
}

/// What is kept of a direction once bytes of it were out of order or missing.
#[derive(Default)]
pub(crate) struct Holes {
    waiting: Vec<Piece>,
    /// In the order in which they came.
    pub(crate) doubtful: VecDeque<Doubtful>,
    /// Of both.
    waiting_bytes: u64,
    since_ns: i64,
    /// The capture lost the bytes before this one: a segment that was no decoy acknowledged them.
    pub(crate) lost_until: Option<u32>,
    /// The byte that its receiver takes out of the stream (RFC 6093 section 3).
    pub(crate) urgent_seq: Option<u32>,
    /// Segments that bring other bytes for a place than those that count.
    pub(crate) conflicts: u32,
    pub(crate) gaps: u32,
    pub(crate) gap_bytes: u64,
}

impl Holes {
    fn charge(&mut self, run: &mut Run, data: &[u8]) {
        self.waiting_bytes += cost(data);
        run.out_of_order_bytes += cost(data);
    }

    fn discharge(&mut self, run: &mut Run, data: &[u8]) {
        self.waiting_bytes -= cost(data);
        run.out_of_order_bytes -= cost(data);
    }

    pub(crate) fn take_waiting(&mut self, run: &mut Run) -> Vec<Piece> {
        let waiting = std::mem::take(&mut self.waiting);
        for piece in &waiting {
            self.discharge(run, &piece.data);
        }
        waiting
    }

    fn insert(&mut self, run: &mut Run, index: usize, piece: Piece) {
        self.charge(run, &piece.data);
        self.waiting.insert(index, piece);
    }

    pub(crate) fn keep_doubtful(&mut self, run: &mut Run, doubtful: Doubtful) {
        self.charge(run, &doubtful.data);
        self.doubtful.push_back(doubtful);
    }

    /// Take out those that are marked.
    pub(crate) fn take_doubtful(&mut self, run: &mut Run, marks: &[bool]) -> Vec<Doubtful> {
        let (mut taken, mut kept) = (Vec::new(), VecDeque::new());
        for (doubtful, is_marked) in std::mem::take(&mut self.doubtful).into_iter().zip(marks) {
            if *is_marked {
                self.discharge(run, &doubtful.data);
                taken.push(doubtful);
            } else {
                kept.push_back(doubtful);
            }
        }
        self.doubtful = kept;
        taken
    }

    fn remove_first(&mut self, run: &mut Run) -> Piece {
        let piece = self.waiting.remove(0);
        self.discharge(run, &piece.data);
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

    fn keep_tail(&mut self, data: &[u8], is_cut: bool) {
        if is_cut {
            self.tail_length = 0;
        } else if let Some(last) = data.last_chunk() {
            self.tail = *last;
            self.tail_length = TAIL_BYTES as u8;
        } else {
            let kept = usize::from(self.tail_length).min(TAIL_BYTES - data.len());
            let end = usize::from(self.tail_length);
            self.tail.copy_within(end - kept..end, 0);
            self.tail[kept..kept + data.len()].copy_from_slice(data);
            self.tail_length = (kept + data.len()) as u8;
        }
    }

    /// Whether a segment that begins `-ahead` bytes back has other bytes than those delivered there, where kept.
    /// Keep-alives may bring any byte (RFC 9293 section 3.8.4).
    pub(crate) fn contradicts_tail(&self, ahead: i64, data: &[u8], length: u32) -> bool {
        if ahead == 0 || (ahead == -1 && length == 1) {
            return false;
        }
        let tail = &self.tail[..usize::from(self.tail_length)];
        let kept = tail.len() as i64;
        let (begin, end) = (ahead.max(-kept), (ahead + data.len() as i64).min(0));
        begin < end && part(data, begin - ahead, end - ahead) != part(tail, begin + kept, end + kept)
    }

    /// Note it when it does.
    fn compare_with_tail(&mut self, ahead: i64, data: &[u8], length: u32) {
        if self.contradicts_tail(ahead, data, length) {
            let holes = self.holes.get_or_insert_default();
            holes.conflicts = holes.conflicts.saturating_add(1);
        }
    }

    /// Where in the next bytes the urgent one stands.
    fn take_urgent(&mut self, begin: u32, length: u32) -> Option<usize> {
        let holes = self.holes.as_mut()?;
        let at = u32::try_from(distance(holes.urgent_seq?, begin)).ok().filter(|at| *at < length)?;
        holes.urgent_seq = None;
        usize::try_from(at).ok()
    }
}

impl Flow {
    /// What waits in each direction, counted anew.
    pub(crate) fn waiting_bytes(&self) -> Vec<u64> {
        let of_holes = |holes: &Holes| {
            let doubtful = holes.doubtful.iter().map(|segment| cost(&segment.data));
            holes.waiting.iter().map(|piece| cost(&piece.data)).chain(doubtful).sum()
        };
        let streams = self.sides.iter().filter_map(|side| side.holes.as_deref()).map(of_holes);
        streams.chain(self.openvpn.iter().flat_map(|vpn| vpn.waiting_bytes())).collect()
    }

    /// Take a segment. True when it brought anything new in order.
    pub(crate) fn segment(&mut self, run: &mut Run, side: usize, seq: u32, data: &[u8], length: u32) -> bool {
        let ahead = i64::from(distance(seq, self.sides[side].next_seq));
        if ahead > 0 {
            self.wait(run, side, ahead, data, length);
            return false;
        }
        if ahead == 0 {
            self.deliver(run, side, data, length);
        } else {
            self.sides[side].compare_with_tail(ahead, data, length);
            if ahead + i64::from(length) <= 0 {
                run.counters.segments_repeated += 1;
                return false;
            }
            self.deliver_new(run, side, ahead, data, length);
        }
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
        self.end_doubtful(run, side);
        while self.sides[side].first_waiting().is_some() {
            self.skip_hole(run, side);
        }
    }

    /// Deliver what is new of a segment that begins `-ahead` bytes back.
    fn deliver_new(&mut self, run: &mut Run, side: usize, ahead: i64, data: &[u8], length: u32) {
        let old = ahead.unsigned_abs();
        let new_length = u32::try_from(u64::from(length).saturating_sub(old)).unwrap_or(0);
        let data = usize::try_from(old).ok().and_then(|old| data.get(old..)).unwrap_or(&[]);
        self.deliver(run, side, data, new_length);
    }

    fn deliver(&mut self, run: &mut Run, side: usize, mut data: &[u8], length: u32) {
        let own = &mut self.sides[side];
        let begin = own.next_seq;
        own.next_seq = begin.wrapping_add(length);
        let mut missing = u64::from(length).saturating_sub(data.len() as u64);
        own.keep_tail(data, missing > 0);
        if let Some(at) = own.take_urgent(begin, length) {
            run.counters.urgent_bytes += 1;
            if at < data.len() {
                let before = &data[..at];
                data = &data[at + 1..];
                if !before.is_empty() {
                    self.arrive(run, side, before);
                }
            } else {
                missing -= 1;
            }
        }
        if !data.is_empty() {
            self.arrive(run, side, data);
        }
        if missing > 0 {
            self.lose(run, side, missing);
        }
    }

    fn lose(&mut self, run: &mut Run, side: usize, length: u64) {
        self.count_gap(run, side, length);
        self.miss(run, side, length);
    }

    /// So many bytes of a direction are missing for good.
    pub(crate) fn count_gap(&mut self, run: &mut Run, side: usize, length: u64) {
        let holes = self.sides[side].holes.get_or_insert_default();
        holes.gaps = holes.gaps.saturating_add(1);
        holes.gap_bytes += length;
        run.counters.stream_gaps += 1;
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
        let mut contradicts = false;
        if let Some(before) = index.checked_sub(1).and_then(|index| holes.waiting.get(index)) {
            contradicts = before.contradicts(next_seq, ahead, data);
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
            let Some(following) = holes.waiting.get(index) else { break };
            contradicts |= following.contradicts(next_seq, ahead, data);
            at = at.max(following.span(next_seq).1);
            index += 1;
        }
        holes.conflicts = holes.conflicts.saturating_add(u32::from(contradicts));
        self.make_room(run, side);
    }

    /// Doubtful segments go before holes are given up.
    pub(crate) fn make_room(&mut self, run: &mut Run, side: usize) {
        while self.waits_too_much(run, side) {
            let Some(holes) = self.sides[side].holes.as_mut() else { return };
            if let Some(oldest) = holes.doubtful.pop_front() {
                holes.discharge(run, &oldest.data);
                run.counters.segments_refused += 1;
            } else if !holes.waiting.is_empty() {
                self.skip_hole(run, side);
            } else {
                return; // others wait for more than their share
            }
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
        let begin = own.next_seq;
        let hole = distance(first_seq, begin);
        if let Some(holes) = own.holes.as_mut() {
            holes.since_ns = run.time_ns;
        }
        self.fill_with_doubtful(run, side, hole);
        let own = &mut self.sides[side];
        if own.next_seq != begin || own.first_waiting().map(|piece| piece.seq) != Some(first_seq) {
            return;
        }
        own.next_seq = first_seq;
        own.tail_length = 0;
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
            let ahead = i64::from(distance(piece.seq, next_seq));
            self.sides[side].compare_with_tail(ahead, &piece.data, piece.length);
            if ahead + i64::from(piece.length) > 0 {
                self.deliver_new(run, side, ahead, &piece.data, piece.length);
            }
        }
        if drained {
            if let Some(holes) = self.sides[side].holes.as_mut() {
                holes.since_ns = run.time_ns;
            }
        }
    }
}

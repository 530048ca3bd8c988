//! TCP on one flow: see `hbids/decode/reference/tcp.py` for where streams begin, which segments are doubted, what
//! ends or replaces a connection.

use crate::doubt::{Reasons, FUTURE_ACK, LOW_TTL, NO_DOUBT, WRONG_CHECKSUM};
use crate::flow::{EndReason, Flow};
use crate::layers::Segment;
use crate::record::Mode;
use crate::run::Run;
use crate::stream::distance;
use crate::transport::{ACK, FIN, RST, SYN, URG};

/// Where only one side was captured, a SYN with a new sequence number replaces a flow idle for this long.
const REUSE_IDLE_NS: i64 = 2_000_000_000;
/// How far from the expected byte a reset may be and still be believed.
const RST_WINDOW: i32 = 1 << 20;

impl Flow {
    /// Whether this SYN begins a new connection between the same endpoints: one that the other side agrees to, since it
    /// would ignore a decoy.
    pub(crate) fn is_replaced_by(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) -> bool {
        let (own, other) = (&self.sides[side], &self.sides[1 - side]);
        if (own.syn_seen && own.initial_seq == segment.seq) || !own.started {
            return false;
        }
        if segment.flags & ACK != 0 {
            let asked = other.syn_seen && segment.ack == other.initial_seq.wrapping_add(1);
            let in_use = own.syn_seen || !own.is_at_first_byte();
            return asked && in_use;
        }
        let has_agreed = other.packets > 0 && other.started;
        let idle = run.time_ns.saturating_sub(self.end_ns) >= REUSE_IDLE_NS;
        if self.closed == Some(EndReason::Fin) || (!has_agreed && (self.closed.is_some() || !self.has_payload || idle))
        {
            return true;
        }
        // Of the new connection, should the other side agree.
        self.sides[side].initial_seq = segment.seq;
        self.sides[side].syn_seen = true;
        run.counters.syn_ignored += 1;
        false
    }

    /// Read a segment.
    pub(crate) fn tcp_segment(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) {
        let other = 1 - side;
        if segment.flags & SYN != 0 {
            self.synchronise(run, side, segment);
        }
        let has_payload = segment.length > 0 && segment.flags & (ACK | SYN | RST) == ACK;
        let doubt = self.doubt(side, segment, has_payload);
        if segment.flags & ACK != 0 {
            self.acknowledge(run, other, segment);
            if self.sides[other].holes.is_some() {
                self.settle(run, other); // what is acknowledged was there before
            }
        }
        if has_payload {
            self.payload(run, side, segment, doubt);
        } else if segment.length > 0 {
            run.counters.payloads_ignored += 1;
        }
        if segment.flags & FIN != 0 {
            self.first_fin.get_or_insert(u8::from(side == 1));
            self.sides[side].fin_seen = true;
            if self.sides[other].fin_seen && self.closed.is_none() {
                self.closed = Some(EndReason::Fin);
            }
        }
        if segment.flags & RST != 0 {
            let own = &self.sides[side];
            if !own.started || distance(segment.seq, own.next_seq).unsigned_abs() <= RST_WINDOW.unsigned_abs() {
                self.closed = Some(EndReason::Rst);
            }
        }
        for side in [side, other] {
            if self.sides[side].holes.is_some() {
                self.check_hole(run, side);
                self.settle(run, side);
            }
        }
    }

    /// Why its receiver may refuse a segment. Only payload is doubted; checksums of what is skipped anyway are not looked
    /// at.
    fn doubt(&mut self, side: usize, segment: &Segment<'_>, has_payload: bool) -> Reasons {
        let in_order = segment.seq == self.sides[side].next_seq;
        let matters = has_payload && !(in_order && self.skips(side, segment.length));
        let has_wrong_checksum = self.sides[side].credit.has_wrong_checksum(matters, || segment.is_checksum_right());
        if !has_payload {
            return NO_DOUBT;
        }
        let mut reasons = NO_DOUBT;
        let (own, other) = (&self.sides[side], &self.sides[1 - side]);
        if has_wrong_checksum {
            reasons |= WRONG_CHECKSUM;
        }
        if own.credit.has_low_ttl(segment.ttl, own.ttl_max) {
            reasons |= LOW_TTL;
        }
        if other.packets > 0 && other.is_unseen(segment.ack) {
            reasons |= FUTURE_ACK;
        }
        reasons
    }

    /// Whether nothing of this side's next bytes will be read.
    fn skips(&self, side: usize, length: u32) -> bool {
        let own = &self.sides[side];
        if let Some(passes) = self.passes_openvpn(side, length) {
            return passes;
        }
        match own.mode {
            Mode::Body => own.progress >= length && own.is_skipped(),
            Mode::Plain => own.header_length == 0 && self.is_bulk(side, length as usize),
            _ => false,
        }
    }

    fn synchronise(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) {
        self.set_client(if segment.flags & ACK != 0 { 1 - side } else { side });
        let own = &self.sides[side];
        // An acknowledgement of the other side may have started the stream before; its SYN knows better.
        if !own.started || (!own.syn_seen && own.is_at_first_byte()) {
            self.start_stream(run, side, segment.seq.wrapping_add(1));
            self.sides[side].syn_seen = true;
            self.sides[side].initial_seq = segment.seq;
        }
    }

    /// The stream of this side is seen from its first byte, whatever was expected before: what waits is judged anew.
    fn start_stream(&mut self, run: &mut Run, side: usize, seq: u32) {
        let own = &mut self.sides[side];
        own.started = true;
        own.next_seq = seq;
        own.tail_length = 0;
        own.start();
        let waiting = own.holes.as_mut().map(|holes| holes.take_waiting(run)).unwrap_or_default();
        for piece in waiting {
            self.segment(run, side, piece.seq, &piece.data, piece.length);
        }
    }

    fn acknowledge(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) {
        let own = &self.sides[side];
        // Where the stream begins, the other side's SYN knows better than a SYN of its own, which may be a decoy.
        if !self.midstream && (!own.started || (segment.flags & SYN != 0 && own.is_at_first_byte())) {
            self.start_stream(run, side, segment.ack);
        }
        self.sides[side].acknowledge(segment.ack);
    }

    fn payload(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>, doubt: Reasons) {
        self.has_payload = true;
        let own = &mut self.sides[side];
        if !own.started {
            own.started = true;
            own.next_seq = segment.seq;
        }
        if doubt != NO_DOUBT {
            self.keep_doubtful(run, side, segment, doubt);
            return;
        }
        if segment.flags & URG != 0 {
            let urgent_seq = segment.seq.wrapping_add(u32::from(segment.urgent.saturating_sub(1)));
            own.holes.get_or_insert_default().urgent_seq = Some(urgent_seq);
        }
        if self.segment(run, side, segment.seq, segment.payload(), segment.length) {
            self.reopen();
        }
    }

    /// Whatever closed it was not believed by its endpoints.
    pub(crate) fn reopen(&mut self) {
        if self.closed.is_some() {
            self.closed = None;
            self.first_fin = None;
            self.sides[0].fin_seen = false;
            self.sides[1].fin_seen = false;
        }
    }
}

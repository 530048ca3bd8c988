//! OpenVPN in a TCP connection: see `hbids/decode/reference/openvpn_stream.py` for what is taken from the walker of
//! records.

use crate::flow::Flow;
use crate::openvpn::OpenVpn;
use crate::openvpn_packet::{is_control, is_data, may_be_first, may_begin, LENGTH_BYTES};
use crate::record::Mode;
use crate::run::Run;
use crate::side::Side;

/// Walks the packets of one direction.
#[derive(Default)]
pub(crate) struct PacketWalker {
    /// The packet at hand with its length, or a first one in the making.
    packet: Vec<u8>,
    /// Of it, as charged.
    held_bytes: u64,
    /// Bytes left of a packet that is not read.
    passing: usize,
    /// The next byte belongs to a packet, or begins one.
    is_walking: bool,
    /// Bytes came that are no packet, where one should begin.
    is_broken: bool,
}

impl PacketWalker {
    pub(crate) fn is_blank(&self) -> bool {
        self.packet.is_empty() && !self.is_walking
    }

    /// Whether nothing of the next bytes will be read.
    fn passes(&self, length: u32) -> bool {
        self.passing >= length as usize
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.packet.len() as u64
    }

    fn length(&self) -> usize {
        self.packet.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)))
    }

    /// Collect the packet at hand only if it is of the control channel.
    fn judge_first_byte(&mut self, run: &mut Run) {
        let (length, first) = (self.length(), self.packet.get(LENGTH_BYTES).copied().unwrap_or(0));
        if if self.is_walking { length > 0 && is_control(first) } else { may_begin(&self.packet) } {
            return;
        }
        self.packet.clear();
        if self.is_walking && length > 0 && is_data(first) {
            self.passing = length - 1;
        } else if self.is_walking {
            run.counters.openvpn_packets_malformed += 1;
            self.is_walking = false;
            self.is_broken = true;
        }
    }

    /// Charge what waits for the rest of its packet. Whether that is too much, here or over all flows.
    fn hold(&mut self, run: &mut Run) -> bool {
        let held_bytes = self.packet.len() as u64;
        run.out_of_order_bytes += held_bytes;
        run.out_of_order_bytes -= std::mem::replace(&mut self.held_bytes, held_bytes);
        let is_too_much =
            held_bytes > run.limits.out_of_order_bytes || run.out_of_order_bytes > run.limits.out_of_order_bytes_total;
        held_bytes > 0 && is_too_much
    }
}

/// The packet at the front of a segment, if all of it is there.
fn framed(segment: &[u8]) -> Option<&[u8]> {
    let (length, rest) = segment.split_first_chunk::<LENGTH_BYTES>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

impl Side {
    /// Whether the next bytes are known to be of records.
    fn walks_records(&self) -> bool {
        matches!(self.mode, Mode::Header | Mode::Body)
    }
}

impl Flow {
    /// The next bytes of a direction; one call is one segment's worth.
    #[inline]
    pub(crate) fn arrive(&mut self, run: &mut Run, side: usize, data: &[u8]) {
        if self.openvpn.is_some() || (!self.sides[side].walks_records() && may_begin(data)) {
            self.arrive_at_openvpn(run, side, data);
        } else {
            self.feed(run, side, data);
        }
    }

    #[inline(never)]
    fn arrive_at_openvpn(&mut self, run: &mut Run, side: usize, data: &[u8]) {
        if self.openvpn.is_none() && framed(data).is_some_and(|packet| !may_be_first(packet, packet.len())) {
            self.feed(run, side, data);
            return;
        }
        let is_agreed = self.with_openvpn(|vpn, flow| {
            vpn.check_holes(run, flow);
            flow.walk_packets(run, vpn, side, data);
            if vpn.walkers[side].hold(run) {
                flow.cut_packet(run, vpn, side);
            }
            flow.speaks_openvpn_alone(vpn, side)
        });
        if !is_agreed {
            self.feed(run, side, data);
        } else if self.sides[side].mode == Mode::Start {
            self.sides[side].mode = Mode::Plain;
        }
    }

    /// The next `length` bytes of a direction are missing.
    pub(crate) fn miss(&mut self, run: &mut Run, side: usize, length: u64) {
        if self.openvpn.is_none() {
            self.gap(run, side, length);
            return;
        }
        let is_agreed = self.with_openvpn(|vpn, flow| {
            flow.cut_packet(run, vpn, side);
            let walker = &mut vpn.walkers[side];
            let passed = walker.passing.min(usize::try_from(length).unwrap_or(usize::MAX));
            walker.passing -= passed;
            walker.is_walking &= passed as u64 == length;
            flow.speaks_openvpn_alone(vpn, side)
        });
        if !is_agreed {
            self.gap(run, side, length);
        }
    }

    /// Whether nothing of this side's next bytes will be read, if it speaks OpenVPN.
    #[inline]
    pub(crate) fn passes_openvpn(&self, side: usize, length: u32) -> Option<bool> {
        let vpn = self.openvpn.as_ref().filter(|vpn| self.speaks_openvpn_alone(vpn, side))?;
        Some(vpn.walkers[side].passes(length))
    }

    /// Whether this side speaks nothing but OpenVPN.
    fn speaks_openvpn_alone(&self, vpn: &OpenVpn, side: usize) -> bool {
        let is_answered = vpn.speaks[1 - side] || self.sides[1 - side].packets == 0 || self.midstream;
        vpn.speaks[side] && !vpn.walkers[side].is_broken && is_answered
    }

    fn walk_packets(&mut self, run: &mut Run, vpn: &mut OpenVpn, side: usize, data: &[u8]) {
        let is_walking = vpn.walkers[side].is_walking;
        if !is_walking && self.sides[side].walks_records() && !self.speaks_openvpn_alone(vpn, side) {
            vpn.walkers[side].packet.clear();
            return;
        }
        let mut rest = data;
        while !rest.is_empty() {
            let walker = &mut vpn.walkers[side];
            let taken = if walker.passing > 0 {
                let passed = walker.passing.min(rest.len());
                walker.passing -= passed;
                passed
            } else if walker.is_walking || !walker.packet.is_empty() || (rest.len() == data.len() && may_begin(data)) {
                self.collect_packet(run, vpn, side, rest)
            } else {
                break;
            };
            rest = &rest[taken..];
        }
    }

    /// Add bytes to the packet at hand; how many were taken.
    fn collect_packet(&mut self, run: &mut Run, vpn: &mut OpenVpn, side: usize, data: &[u8]) -> usize {
        let walker = &mut vpn.walkers[side];
        let mut wanted = LENGTH_BYTES + 1;
        if walker.packet.len() >= wanted {
            wanted = LENGTH_BYTES + walker.length();
        }
        let taken = data.len().min(wanted - walker.packet.len());
        walker.packet.extend_from_slice(&data[..taken]);
        if walker.packet.len() == wanted {
            if wanted == LENGTH_BYTES + 1 {
                walker.judge_first_byte(run);
            }
            if walker.packet.len() == LENGTH_BYTES + walker.length() {
                self.take_packet(run, vpn, side);
            }
        }
        taken
    }

    fn take_packet(&mut self, run: &mut Run, vpn: &mut OpenVpn, side: usize) {
        let packet = std::mem::take(&mut vpn.walkers[side].packet);
        let data = packet.get(LENGTH_BYTES..).unwrap_or(&[]);
        let is_taken = vpn.packet(run, self, side, data, data.len());
        let walker = &mut vpn.walkers[side];
        run.counters.openvpn_packets_malformed += u64::from(walker.is_walking && !is_taken);
        walker.is_walking |= is_taken;
        walker.is_broken &= !is_taken;
    }

    /// Read what there is of the packet at hand, and pass over the rest.
    pub(crate) fn cut_packet(&mut self, run: &mut Run, vpn: &mut OpenVpn, side: usize) {
        let walker = &mut vpn.walkers[side];
        let length = walker.length();
        let packet = std::mem::take(&mut walker.packet);
        walker.hold(run);
        if let Some(data) = packet.get(LENGTH_BYTES..).filter(|_| walker.is_walking) {
            walker.passing = length - data.len();
            vpn.packet(run, self, side, data, length);
        }
    }
}

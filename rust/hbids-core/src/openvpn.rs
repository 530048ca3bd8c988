//! OpenVPN's control channel on one flow: see `hbids/decode/reference/openvpn.py` for which TLS session a packet belongs
//! to, and what counts as sealed.

use crate::flow::Flow;
use crate::flow_row::Counts;
use crate::layers::Datagram;
use crate::openvpn_channel::{Channel, FIRST_WITH_TLS};
use crate::openvpn_packet::{
    is_control, is_hard_reset, is_hard_reset_of_client, may_be_first, may_open, recognise, replay_id_of_sealed,
    session_id, ControlPacket, SessionId,
};
use crate::openvpn_stream::PacketWalker;
use crate::run::Run;

/// What the state of a flow's control channel takes in memory, beside its sessions.
const OPENVPN_BYTES: u64 = 1_024;
/// Replay ids of tls-crypt go on by one a packet; so many may be missing from the capture.
const MOST_REPLAY_IDS_LOST: u32 = 64;

/// A session that tls-crypt may have sealed.
#[derive(Clone, Copy)]
struct Suspect {
    session_id: SessionId,
    is_client: bool,
    replay_id: u32,
}

/// The control channel of both directions of a flow; from the first packet on that looks like it.
#[derive(Default)]
pub(crate) struct OpenVpn {
    /// In the order in which they began.
    channels: Vec<Channel>,
    pub(crate) walkers: [PacketWalker; 2],
    suspects: [Option<Suspect>; 2],
    /// Packets of suspects, until they are believed to be sealed.
    suspected: u64,
    /// Of the channels that are over.
    gaps: [u32; 2],
    was_tls: bool,
    is_sealed: bool,
    /// Which sides have sent packets of it.
    pub(crate) speaks: [bool; 2],
}

impl OpenVpn {
    /// Whether TLS was found in it.
    #[inline(never)]
    pub(crate) fn is_tls(&self) -> bool {
        self.was_tls || self.channels.iter().any(|channel| channel.session.is_tls())
    }

    /// The sessions that are not over; what those that are have counted was added to the flow's own.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Flow> {
        self.channels.iter().filter_map(|channel| channel.session.flow.as_deref())
    }

    /// Out-of-order bytes left out.
    pub(crate) fn held_bytes(&self) -> u64 {
        OPENVPN_BYTES + self.channels.iter().map(Channel::held_bytes).sum::<u64>()
    }

    /// What waits in each direction of each session, and of the connection.
    pub(crate) fn waiting_bytes(&self) -> impl Iterator<Item = u64> + '_ {
        let packets = self.walkers.iter().map(PacketWalker::waiting_bytes);
        let chunks = self.channels.iter().flat_map(Channel::waiting_bytes);
        packets.chain(chunks)
    }

    /// Holes given up on.
    pub(crate) fn gaps(&self, side: usize) -> u32 {
        self.channels.iter().fold(self.gaps[side], |gaps, channel| gaps.saturating_add(channel.directions[side].gaps))
    }

    /// Whether nothing is known that must be kept.
    fn is_blank(&self) -> bool {
        self.speaks == [false; 2] && self.walkers.iter().all(PacketWalker::is_blank)
    }

    /// A packet, `length` on the wire; `data` is shorter when its end was not captured. Whether it is one of the control
    /// channel.
    pub(crate) fn packet(&mut self, run: &mut Run, outer: &mut Flow, side: usize, data: &[u8], length: usize) -> bool {
        let Some(session_id) = session_id(data).filter(|_| is_control(data[0])) else {
            return false;
        };
        let mut taken = self.open(run, outer, side, data, length) || self.sealed(run, side, data, length);
        if !taken && self.knows(side, &session_id) {
            run.counters.openvpn_packets_malformed += u64::from(data.len() == length);
            taken = true;
        }
        run.counters.openvpn_packets_cut += u64::from(taken && data.len() < length);
        self.speaks[side] |= taken;
        taken
    }

    /// Give up what has been missing for too long.
    pub(crate) fn check_holes(&mut self, run: &mut Run, outer: &mut Flow) {
        for channel in &mut self.channels {
            channel.check_holes(run, outer);
        }
    }

    /// Whether this session is open, whichever the key.
    fn knows(&self, side: usize, session_id: &SessionId) -> bool {
        self.channels.iter().any(|channel| channel.session_ids[side].as_ref() == Some(session_id))
    }

    /// Read a packet that nothing seals. Whether it is one.
    fn open(&mut self, run: &mut Run, outer: &mut Flow, side: usize, data: &[u8], length: usize) -> bool {
        let Some(session_id) = session_id(data) else {
            return false;
        };
        let mut is_owned = false;
        for channel in self.channels.iter_mut().rev().filter(|channel| channel.owns(side, session_id, data[0] & 7)) {
            is_owned = true;
            let packet = ControlPacket::read(data, channel.wrap_bytes[side]);
            if let Some(packet) = packet.filter(|packet| channel.admits(side, packet)) {
                let payload = &data[packet.payload_at..];
                channel.take((run, outer, side), &packet, payload, length - packet.payload_at);
                return true;
            }
        }
        let Some((wrap_bytes, packet)) = recognise(data, length, |remote| self.knows(1 - side, remote)) else {
            return false;
        };
        let mut found = self.channels.iter().rposition(|channel| channel.admits(side, &packet));
        if found.is_none() && is_owned {
            return false; // meant for another receiver
        }
        if is_hard_reset(packet.opcode) {
            outer.set_client(if is_hard_reset_of_client(packet.opcode) { side } else { 1 - side });
        }
        if found.is_none() {
            found = Some(self.begin(run, outer, &packet));
        }
        if let Some(channel) = found.and_then(|at| self.channels.get_mut(at)) {
            channel.wrap_bytes[side] = wrap_bytes;
            let payload = &data[packet.payload_at..];
            channel.take((run, outer, side), &packet, payload, length - packet.payload_at);
        }
        true
    }

    /// Another TLS session, and its place. For it goes the oldest that is not known to be one, or else the oldest.
    fn begin(&mut self, run: &mut Run, outer: &mut Flow, packet: &ControlPacket<'_>) -> usize {
        while self.channels.len() as u64 >= run.limits.openvpn_sessions.max(1) {
            let idle = self.channels.iter().position(|channel| !channel.session.is_tls()).unwrap_or(0);
            self.end_channel(run, outer, idle);
        }
        let midstream = packet.packet_id.is_some_and(|id| id > FIRST_WITH_TLS);
        outer.midstream |= midstream && self.speaks == [false; 2] && outer.is_dtls() && !outer.said_hello;
        self.channels.push(Channel::new(packet.key_id, midstream));
        self.channels.len() - 1
    }

    fn end_channel(&mut self, run: &mut Run, outer: &mut Flow, at: usize) {
        self.channels[at].end(run, outer);
        let channel = self.channels.remove(at);
        self.was_tls |= channel.session.is_tls();
        for side in [0, 1] {
            self.gaps[side] = self.gaps[side].saturating_add(channel.directions[side].gaps);
        }
        if let Some(flow) = &channel.session.flow {
            outer.add_counts(flow);
        }
    }

    /// Count a packet that tls-crypt sealed. Whether it may be one.
    fn sealed(&mut self, run: &mut Run, side: usize, data: &[u8], length: usize) -> bool {
        let (Some(replay_id), Some(session_id)) = (replay_id_of_sealed(data, length), session_id(data)) else {
            return false;
        };
        if self.knows(side, &session_id) {
            run.counters.openvpn_packets_sealed += 1;
            return true;
        }
        let opcode = data[0] >> 3;
        let known = self.suspects[side].filter(|suspect| suspect.session_id == session_id);
        let suspect = match known {
            Some(suspect) => {
                let lost = replay_id.checked_sub(suspect.replay_id);
                self.is_sealed |= lost.is_some_and(|lost| (1..=MOST_REPLAY_IDS_LOST).contains(&lost));
                Suspect { replay_id, ..suspect }
            }
            None if is_hard_reset(opcode) => {
                let is_client = is_hard_reset_of_client(opcode);
                self.is_sealed |= self.suspects[1 - side].is_some_and(|other| other.is_client != is_client);
                Suspect { session_id, is_client, replay_id }
            }
            None => return false,
        };
        self.suspects[side] = Some(suspect);
        self.suspected += 1;
        if self.is_sealed {
            run.counters.openvpn_packets_sealed += std::mem::take(&mut self.suspected);
        }
        true
    }
}

impl Flow {
    /// A datagram. Whether it is a packet of the control channel.
    #[inline]
    pub(crate) fn openvpn_datagram(&mut self, run: &mut Run, side: usize, datagram: &Datagram<'_>) -> bool {
        let may_be = datagram.payload().first().is_some_and(|first| may_open(*first));
        (self.openvpn.is_some() || may_be) && self.datagram_at_openvpn(run, side, datagram)
    }

    #[inline(never)]
    fn datagram_at_openvpn(&mut self, run: &mut Run, side: usize, datagram: &Datagram<'_>) -> bool {
        let length = datagram.length as usize;
        if self.openvpn.is_none() && !may_be_first(datagram.payload(), length) {
            return false;
        }
        let taken = self.with_openvpn(|vpn, flow| {
            vpn.check_holes(run, flow);
            vpn.packet(run, flow, side, datagram.payload(), length)
        });
        self.has_payload |= taken;
        taken
    }

    /// Let OpenVPN see to something; what it learns is kept.
    pub(crate) fn with_openvpn<T>(&mut self, work: impl FnOnce(&mut OpenVpn, &mut Self) -> T) -> T {
        let mut vpn = self.openvpn.take().unwrap_or_default();
        let outcome = work(&mut vpn, self);
        self.openvpn = Some(vpn).filter(|vpn| !vpn.is_blank());
        outcome
    }

    /// The flow is over.
    pub(crate) fn end_openvpn(&mut self, run: &mut Run) {
        if self.openvpn.is_some() {
            self.with_openvpn(|vpn, flow| {
                for side in [0, 1] {
                    flow.cut_packet(run, vpn, side);
                }
                while !vpn.channels.is_empty() {
                    vpn.end_channel(run, flow, 0);
                }
            });
        }
    }
}

impl Flow {
    /// Whether TLS was found in OpenVPN.
    pub(crate) fn is_tls_in_openvpn(&self) -> bool {
        self.openvpn.as_ref().is_some_and(|vpn| vpn.is_tls())
    }

    /// The session within is over: what it has counted stays.
    fn add_counts(&mut self, inner: &Self) {
        for side in [0, 1] {
            let mut counts = Counts::default();
            counts.add(self, side);
            counts.add(inner, side);
            let own = &mut self.sides[side];
            own.records = counts.records;
            own.small_record_bytes = counts.small_record_bytes;
            own.bulk_record_bytes = counts.bulk_record_bytes;
            if inner.heartbeats.is_some() {
                let heartbeats = self.heartbeats.get_or_insert_default();
                heartbeats.counts[side] = counts.heartbeats;
                heartbeats.last_records[side] = counts.last_record;
            }
        }
    }
}

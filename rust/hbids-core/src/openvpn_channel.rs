//! One TLS session in OpenVPN's control channel: see `hbids/decode/reference/openvpn_channel.py`.

use crate::flow::Flow;
use crate::openvpn_packet::{is_hard_reset_of_client, ControlPacket, SessionId};
use crate::reliable::{Reader, Reliable};
use crate::run::Run;

/// Id of the packet behind the reset.
pub(crate) const FIRST_WITH_TLS: u32 = 1;
/// What it takes in memory, beside its session.
const CHANNEL_BYTES: u64 = 768;

/// One TLS session.
pub(crate) struct Channel {
    pub(crate) directions: [Reliable; 2],
    /// Of each side, once it has sent something.
    pub(crate) session_ids: [Option<SessionId>; 2],
    /// Of tls-auth, in the packets of each side.
    pub(crate) wrap_bytes: [u8; 2],
    key_id: u8,
    pub(crate) session: Inside,
}

/// The session of a channel: a flow within the flow, from its first byte of TLS on.
pub(crate) struct Inside {
    pub(crate) flow: Option<Box<Flow>>,
    midstream: bool,
}

impl Inside {
    pub(crate) fn is_tls(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.is_tls())
    }

    /// Let the flow within work, as far as the flow around it has come.
    fn lend(&mut self, outer: &mut Flow, work: impl FnOnce(&mut Flow)) {
        let flow = self.flow.get_or_insert_with(|| Box::new(outer.within(self.midstream)));
        for (own, other) in flow.sides.iter_mut().zip(&outer.sides) {
            (own.packets, own.bytes) = (other.packets, other.bytes);
            if other.has_lost() {
                own.holes.get_or_insert_default().lost_until = Some(other.next_seq);
            }
        }
        flow.client_side = outer.client_side;
        work(flow);
        outer.client_side = flow.client_side;
    }
}

/// Where the bytes of one direction go.
struct Reading<'a> {
    run: &'a mut Run,
    outer: &'a mut Flow,
    session: &'a mut Inside,
    side: usize,
}

impl Reader for Reading<'_> {
    fn run(&mut self) -> &mut Run {
        self.run
    }

    fn feed(&mut self, data: &[u8]) {
        self.session.lend(self.outer, |flow| flow.feed(self.run, self.side, data));
    }

    fn gap(&mut self, length: u64) {
        self.session.lend(self.outer, |flow| flow.gap(self.run, self.side, length));
    }
}

impl Channel {
    pub(crate) fn new(key_id: u8, midstream: bool) -> Self {
        Self {
            directions: Default::default(),
            session_ids: [None; 2],
            wrap_bytes: [0; 2],
            key_id,
            session: Inside { flow: None, midstream },
        }
    }

    /// Whether this side has sent packets of this session here.
    pub(crate) fn owns(&self, side: usize, session_id: SessionId, key_id: u8) -> bool {
        self.session_ids[side] == Some(session_id) && self.key_id == key_id
    }

    /// Whether a packet of this side belongs here. A client's hard reset begins anew.
    pub(crate) fn admits(&self, side: usize, packet: &ControlPacket<'_>) -> bool {
        let is_own = match self.session_ids[side] {
            Some(own) => own == packet.session_id,
            None => !is_hard_reset_of_client(packet.opcode),
        };
        let other = self.session_ids[1 - side];
        let is_meant = packet.remote_id.is_none_or(|remote| other.is_none_or(|other| other == remote));
        self.key_id == packet.key_id && is_own && is_meant
    }

    /// Out-of-order bytes left out.
    pub(crate) fn held_bytes(&self) -> u64 {
        CHANNEL_BYTES + self.session.flow.as_ref().map_or(0, |flow| u64::from(flow.count_state_bytes()))
    }

    /// What waits in each direction.
    pub(crate) fn waiting_bytes(&self) -> impl Iterator<Item = u64> + '_ {
        self.directions.iter().map(Reliable::waiting_bytes)
    }

    fn reader<'a>(&'a mut self, run: &'a mut Run, outer: &'a mut Flow, side: usize) -> (&'a mut Reliable, Reading<'a>) {
        let Self { directions, session, .. } = self;
        (&mut directions[side], Reading { run, outer, session, side })
    }

    /// Read a packet; its payload is `length` bytes on the wire.
    pub(crate) fn take(
        &mut self,
        (run, outer, side): (&mut Run, &mut Flow, usize),
        packet: &ControlPacket<'_>,
        payload: &[u8],
        length: usize,
    ) {
        for packet_id in packet.acks() {
            let (direction, mut reader) = self.reader(run, outer, 1 - side);
            direction.acknowledge(&mut reader, packet_id);
        }
        let Some(packet_id) = packet.packet_id else {
            return;
        };
        if self.session_ids[side].is_none() {
            self.session_ids[side] = Some(packet.session_id);
            // What lies between the reset and this one is late, or lost.
            let first = if self.session.midstream { packet_id } else { packet_id.min(FIRST_WITH_TLS) };
            self.directions[side].start(first);
        }
        let (direction, mut reader) = self.reader(run, outer, side);
        direction.packet(&mut reader, packet_id, payload, u32::try_from(length).unwrap_or(u32::MAX));
    }

    /// Give up what has been missing for too long.
    pub(crate) fn check_holes(&mut self, run: &mut Run, outer: &mut Flow) {
        for side in [0, 1] {
            if self.directions[side].has_hole() {
                let (direction, mut reader) = self.reader(run, outer, side);
                direction.check_hole(&mut reader);
            }
        }
    }

    /// Read what waits, and write the rows.
    pub(crate) fn end(&mut self, run: &mut Run, outer: &mut Flow) {
        for side in [0, 1] {
            let (direction, mut reader) = self.reader(run, outer, side);
            direction.end(&mut reader);
        }
        if self.session.flow.is_some() {
            self.session.lend(outer, |flow| flow.end_session(run));
        }
    }
}

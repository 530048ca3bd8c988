//! What tells flows apart: see `hbids/decode/reference/flow_key.py`.

use std::hash::{Hash, Hasher};

use crate::layers::{Address, Carried};
use crate::network::{PROTOCOL_TCP, PROTOCOL_UDP};

/// Both endpoints, the smaller one (by address, then port) first: it is side 0. And the IP protocol number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) addrs: [Address; 2],
    pub(crate) ports: [u16; 2],
    pub(crate) protocol: u8,
    /// Of EAP over RADIUS, where the same endpoints have many; else 0.
    pub(crate) conversation: u32,
}

/// Without the protocol: few endpoints use the same ports for both, and equality tells those apart.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.addrs, self.ports).hash(state);
        if self.conversation != 0 {
            self.conversation.hash(state);
        }
    }
}

impl Key {
    /// The key of a packet's flow, and which side sent it.
    pub(crate) fn of(packet: &Carried<'_>) -> (Self, usize) {
        let (source, target, protocol, conversation) = match packet {
            Carried::Segment(of) => ((of.src_addr, of.src_port), (of.dst_addr, of.dst_port), PROTOCOL_TCP, 0),
            Carried::Datagram(of) => ((of.src_addr, of.src_port), (of.dst_addr, of.dst_port), PROTOCOL_UDP, 0),
            Carried::Eap(of) => (of.source, of.target, of.protocol, of.conversation),
        };
        let (low, high, side) = if source <= target { (source, target, 0) } else { (target, source, 1) };
        (Self { addrs: [low.0, high.0], ports: [low.1, high.1], protocol, conversation }, side)
    }
}

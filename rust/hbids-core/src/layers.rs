//! What reading one header of a frame can come to: the next header, something whole, a fragment, or nothing.

use crate::conversations::EapPacket;
use crate::network::{PROTOCOL_TCP, PROTOCOL_UDP};
use crate::run::Counters;
use crate::transport::UDP_HEADER_BYTES;

/// An unused VLAN layer.
pub const NO_VLAN: u16 = 0xFFFF;
const MAX_VLANS: usize = 3;

pub(crate) type Address = [u8; 16];

/// A header that may stand next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Ethernet,
    Vlan,
    Mpls,
    Pppoe,
    Ppp,
    Ip,
    Tcp,
    Udp,
    Gre,
    Eapol,
}

/// What a header comes to; `Next` is a header yet to be read and the bytes that begin with it.
pub(crate) enum Step<'a> {
    Next(Layer, &'a [u8]),
    Found(Found<'a>),
}

/// What a frame holds.
pub(crate) enum Found<'a> {
    Segment(Segment<'a>),
    Datagram(Datagram<'a>),
    Eapol(Eapol<'a>),
    /// Apart, so that what is not in fragments is small to hand on.
    Fragment(Box<Fragment<'a>>),
}

/// What belongs to a flow.
pub(crate) enum Carried<'a> {
    Segment(Segment<'a>),
    Datagram(Datagram<'a>),
    Eap(&'a EapPacket<'a>),
}

/// A TCP segment as captured. `length` is the payload length the headers claim.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) vlan: [u16; 3],
    pub(crate) ttl: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    /// Of use with the flag URG only.
    pub(crate) urgent: u16,
    /// The IP header's checksum is right, as far as there is one.
    pub(crate) header_right: bool,
    pub(crate) header_length: u8,
    /// Header and payload, as captured.
    pub(crate) whole: &'a [u8],
    pub(crate) length: u32,
}

impl<'a> Segment<'a> {
    /// May be shorter than `length`, when a snap length cut the frame.
    pub(crate) fn payload(&self) -> &'a [u8] {
        rest(self.whole, self.header_length.into())
    }

    /// As of [`is_checksum_right`].
    pub(crate) fn is_checksum_right(&self) -> Option<bool> {
        let claimed = usize::from(self.header_length) + self.length as usize;
        is_checksum_right(self.header_right, PROTOCOL_TCP, [&self.src_addr, &self.dst_addr], self.whole, claimed)
    }
}

/// A UDP datagram that is no tunnel's, as captured; fields as in [`Segment`].
#[derive(Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) vlan: [u16; 3],
    pub(crate) ttl: u8,
    pub(crate) header_right: bool,
    pub(crate) whole: &'a [u8],
    pub(crate) length: u32,
}

impl<'a> Datagram<'a> {
    /// As in [`Segment::payload`].
    pub(crate) fn payload(&self) -> &'a [u8] {
        rest(self.whole, UDP_HEADER_BYTES)
    }

    /// As of [`is_checksum_right`]; `None` also when it has none.
    pub(crate) fn is_checksum_right(&self) -> Option<bool> {
        if self.header_right && self.whole.get(6..8) == Some(&[0, 0]) {
            return None;
        }
        let claimed = UDP_HEADER_BYTES + self.length as usize;
        is_checksum_right(self.header_right, PROTOCOL_UDP, [&self.src_addr, &self.dst_addr], self.whole, claimed)
    }
}

/// An EAPOL packet that carries EAP; its addresses are made of MAC addresses. `payload` may be shorter than `length`, when
/// a snap length cut the frame.
pub(crate) struct Eapol<'a> {
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
    pub(crate) vlan: [u16; 3],
    pub(crate) payload: &'a [u8],
    pub(crate) length: usize,
}

/// Whether the receiver's arithmetic comes out (RFC 9293 section 3.1, RFC 768), in the IP header, too; `None` when the
/// capture lacks some of the bytes. IPv4 addresses mapped into IPv6 do not change the sum.
fn is_checksum_right(
    header_right: bool,
    protocol: u8,
    addresses: [&Address; 2],
    whole: &[u8],
    claimed: usize,
) -> Option<bool> {
    if !header_right {
        return Some(false);
    }
    if whole.len() < claimed {
        return None;
    }
    let lengths = u16::try_from((claimed + usize::from(protocol)) % 0xFFFF).unwrap_or(0);
    let parts = [sum(addresses[0]), sum(addresses[1]), sum(whole), lengths.to_be().into()];
    Some(parts.into_iter().fold(0, add_with_carry) % 0xFFFF == 0)
}

/// Whether a checksum over all of this comes out (RFC 1071).
#[inline]
pub(crate) fn is_sum_right(data: &[u8]) -> bool {
    sum(data) % 0xFFFF == 0
}

/// A sum that is, modulo 65535, that of all 16-bit words in the machine's order of bytes: 2^16 and 2^64 are 1 modulo 65535,
/// so words of 64 bits, added with what they carry, come to the same. The order of bytes does not matter to whether it is 0.
#[inline]
fn sum(data: &[u8]) -> u64 {
    let mut words = data.chunks_exact(8);
    let total = words
        .by_ref()
        .fold(0, |total, word| add_with_carry(total, word.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word))));
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    add_with_carry(total, u64::from_ne_bytes(last))
}

fn add_with_carry(total: u64, word: u64) -> u64 {
    let (total, carried) = total.overflowing_add(word);
    total.wrapping_add(carried.into()) // after a carry there is room
}

/// What the fragments of one packet share. `protocol` is 0 in IPv6, where only the first fragment's counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FragmentKey {
    pub(crate) version: u8,
    pub(crate) protocol: u8,
    pub(crate) identification: u32,
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
}

/// A part of an IP packet's payload: `length` bytes from `offset` on, of which `payload` was captured.
pub(crate) struct Fragment<'a> {
    pub(crate) key: FragmentKey,
    pub(crate) protocol: u8,
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) payload: &'a [u8],
    pub(crate) length: usize,
    pub(crate) walk: Walk,
}

/// How far the reading of a frame has come: tags so far, and what the innermost IP header said.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    pub(crate) layers: u64,
    /// Length the innermost IP header claims for what follows it.
    pub(crate) claimed: usize,
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
    pub(crate) ttl: u8,
    /// The innermost IP header's checksum is right, as far as there is one.
    pub(crate) header_right: bool,
    pub(crate) vlan: [u16; MAX_VLANS],
}

impl Walk {
    pub(crate) fn new() -> Self {
        Self {
            layers: 0,
            claimed: 0,
            src_addr: [0; 16],
            dst_addr: [0; 16],
            ttl: 0,
            header_right: true,
            vlan: [NO_VLAN; MAX_VLANS],
        }
    }

    /// Note a VLAN tag; the outermost are kept.
    pub(crate) fn tag(&mut self, identifier: u16) {
        if let Some(free) = self.vlan.iter_mut().find(|layer| **layer == NO_VLAN) {
            *free = identifier;
        }
    }
}

/// Why a frame holds nothing: one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    FrameTruncated,
    LayersExceeded,
    LinkTypeUnsupported,
    NotIp,
    NotTcp,
    IpMalformed,
    TcpMalformed,
    TunnelUnreadable,
    UdpMalformed,
}

impl Dropped {
    pub(crate) fn count(self, counters: &mut Counters) {
        let counter = match self {
            Self::FrameTruncated => &mut counters.frame_truncated,
            Self::LayersExceeded => &mut counters.layers_exceeded,
            Self::LinkTypeUnsupported => &mut counters.link_type_unsupported,
            Self::NotIp => &mut counters.not_ip,
            Self::NotTcp => &mut counters.not_tcp,
            Self::IpMalformed => &mut counters.ip_malformed,
            Self::TcpMalformed => &mut counters.tcp_malformed,
            Self::TunnelUnreadable => &mut counters.tunnel_unreadable,
            Self::UdpMalformed => &mut counters.udp_malformed,
        };
        *counter += 1;
    }
}

/// The bytes from `at` on; none when there are not so many.
pub(crate) fn rest(data: &[u8], at: usize) -> &[u8] {
    data.get(at..).unwrap_or(&[])
}

pub(crate) fn be16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

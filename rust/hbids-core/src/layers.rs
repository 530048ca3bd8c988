//! What reading one header of a frame can come to: the next header, something whole, a fragment, or nothing.

use crate::network::PROTOCOL_UDP;
use crate::run::Counters;

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
    Fragment(Fragment<'a>),
}

/// What belongs to a flow.
pub(crate) enum Carried<'a> {
    Segment(Segment<'a>),
    Datagram(Datagram<'a>),
}

/// A TCP segment as captured. `length` is the payload length the headers claim; `payload` may be shorter when a snap
/// length cut the frame.
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
    pub(crate) checkable: Checkable<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) length: u32,
}

/// A UDP datagram that is no tunnel's, as captured; fields as in [`Segment`].
pub(crate) struct Datagram<'a> {
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) vlan: [u16; 3],
    pub(crate) ttl: u8,
    pub(crate) checkable: Checkable<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) length: u32,
}

/// What a packet's checksum is made of: whether the IP header's is right, the addresses, protocol, and header and payload
/// as captured, of `claimed` bytes.
#[derive(Clone, Copy)]
pub(crate) struct Checkable<'a> {
    pub(crate) header_right: bool,
    pub(crate) protocol: u8,
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
    pub(crate) claimed: usize,
    pub(crate) whole: &'a [u8],
}

impl Checkable<'_> {
    /// Whether the receiver's arithmetic comes out (RFC 9293 section 3.1, RFC 768); `None` when the capture lacks some of
    /// the bytes, or UDP has no checksum. That IPv4 addresses are mapped into IPv6 does not change the sum.
    pub(crate) fn is_right(&self) -> Option<bool> {
        if !self.header_right {
            return Some(false);
        }
        let has_none = self.protocol == PROTOCOL_UDP && self.whole.get(6..8) == Some(&[0, 0]);
        if self.whole.len() < self.claimed || has_none {
            return None;
        }
        let total = sum_mod_ffff(&self.src_addr)
            + sum_mod_ffff(&self.dst_addr)
            + u64::from(self.protocol)
            + self.claimed as u64
            + sum_mod_ffff(self.whole);
        Some(total % 0xFFFF == 0)
    }
}

/// The sum of all 16-bit words modulo 65535, which is 0 where a checksum is right (RFC 1071).
pub(crate) fn sum_mod_ffff(data: &[u8]) -> u64 {
    let mut words = data.chunks_exact(4);
    let mut total: u64 =
        words.by_ref().map(|word| u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))).sum();
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    total += u64::from(u32::from_ne_bytes(last));
    // 2^16 is 1 modulo 65535, so that words of 32 bits, and bytes in the other order, give the same sum but for the order
    // of its bytes.
    let folded = (total % 0xFFFF) as u16;
    u64::from(folded.to_be())
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

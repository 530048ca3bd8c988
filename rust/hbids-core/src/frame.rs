//! One captured frame, down to its TCP segment.

use crate::run::Counters;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// An unused VLAN layer.
pub const NO_VLAN: u16 = 0xFFFF;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
const VLAN_ETHERTYPES: [u16; 3] = [0x8100, 0x88A8, 0x9100];
const MAX_VLANS: usize = 3;
/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
const HEADER_FRAGMENT: u8 = 44;
const HEADER_AH: u8 = 51;
const MAX_EXTENSION_HEADERS: usize = 16;
const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
/// Address families that BSD systems and Linux write for IPv4 and IPv6 on loopback captures.
const NULL_FAMILIES: [u32; 5] = [2, 10, 24, 28, 30];

const LINK_NULL: u16 = 0;
const LINK_ETHERNET: u16 = 1;
const LINK_LOOP: u16 = 108;
const LINK_SLL: u16 = 113;
const LINK_SLL2: u16 = 276;

pub(crate) type Address = [u8; 16];

/// A TCP segment as captured. `length` is the payload length the headers claim; `payload` may be shorter when a snap
/// length cut the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    pub(crate) src_addr: Address,
    pub(crate) dst_addr: Address,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) vlan: [u16; 3],
    pub(crate) ttl: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) payload: &'a [u8],
    pub(crate) length: u32,
}

/// Why a frame gave no segment: one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dropped {
    FrameTruncated,
    LinkTypeUnsupported,
    NotIp,
    NotTcp,
    IpFragment,
    IpMalformed,
    TcpMalformed,
}

impl Dropped {
    pub(crate) fn count(self, counters: &mut Counters) {
        let counter = match self {
            Self::FrameTruncated => &mut counters.frame_truncated,
            Self::LinkTypeUnsupported => &mut counters.link_type_unsupported,
            Self::NotIp => &mut counters.not_ip,
            Self::NotTcp => &mut counters.not_tcp,
            Self::IpFragment => &mut counters.ip_fragment,
            Self::IpMalformed => &mut counters.ip_malformed,
            Self::TcpMalformed => &mut counters.tcp_malformed,
        };
        *counter += 1;
    }
}

fn be16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn be32(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// The segment in `frame`, or why there is none.
///
/// # Errors
/// The counter that says what could not be read.
pub fn parse_frame(link_type: u16, frame: &[u8]) -> Result<Segment<'_>, Dropped> {
    let mut vlan = [NO_VLAN; MAX_VLANS];
    let (mut start, ethertype_at) = match link_type {
        LINK_ETHERNET => (14, 12),
        LINK_SLL => (16, 14),
        LINK_SLL2 => (20, 0),
        12 | 14 | 101 | 228 | 229 => return parse_ip(frame, vlan),
        LINK_NULL | LINK_LOOP => {
            let family: [u8; 4] =
                frame.get(..4).and_then(|bytes| bytes.try_into().ok()).ok_or(Dropped::FrameTruncated)?;
            let known = |number: u32| NULL_FAMILIES.contains(&number);
            if !known(u32::from_le_bytes(family)) && !known(u32::from_be_bytes(family)) {
                return Err(Dropped::NotIp);
            }
            return parse_ip(&frame[4..], vlan);
        }
        _ => return Err(Dropped::LinkTypeUnsupported),
    };
    if frame.len() < start {
        return Err(Dropped::FrameTruncated);
    }
    let mut ethertype = be16(frame, ethertype_at).ok_or(Dropped::FrameTruncated)?;
    for layer in &mut vlan {
        if !VLAN_ETHERTYPES.contains(&ethertype) {
            break;
        }
        *layer = be16(frame, start).ok_or(Dropped::FrameTruncated)? & 0x0FFF;
        ethertype = be16(frame, start + 2).ok_or(Dropped::FrameTruncated)?;
        start += 4;
    }
    if ethertype != ETHERTYPE_IPV4 && ethertype != ETHERTYPE_IPV6 {
        return Err(Dropped::NotIp);
    }
    parse_ip(&frame[start..], vlan)
}

fn parse_ip(packet: &[u8], vlan: [u16; 3]) -> Result<Segment<'_>, Dropped> {
    match packet.first().map(|byte| byte >> 4) {
        None => Err(Dropped::FrameTruncated),
        Some(4) => parse_ipv4(packet, vlan),
        Some(6) => parse_ipv6(packet, vlan),
        Some(_) => Err(Dropped::IpMalformed),
    }
}

fn mapped(address: &[u8]) -> Address {
    let mut mapped = [0; 16];
    mapped[..12].copy_from_slice(&V4_MAPPED);
    mapped[12..].copy_from_slice(address);
    mapped
}

fn parse_ipv4(packet: &[u8], vlan: [u16; 3]) -> Result<Segment<'_>, Dropped> {
    let header: &[u8; 20] = packet.first_chunk().ok_or(Dropped::FrameTruncated)?;
    let header_length = usize::from(header[0] & 0x0F) * 4;
    let mut total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if total_length == 0 {
        // Left to the network card (segmentation offload): the frame is all there is.
        total_length = packet.len();
    }
    if header_length < 20 || total_length < header_length {
        return Err(Dropped::IpMalformed);
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0 {
        return Err(Dropped::IpFragment); // more fragments, or an offset
    }
    if header[9] != PROTOCOL_TCP {
        return Err(Dropped::NotTcp);
    }
    let segment = packet.get(header_length..total_length.min(packet.len())).unwrap_or(&[]);
    let (src, dst) = (mapped(&header[12..16]), mapped(&header[16..20]));
    parse_tcp(segment, total_length - header_length, src, dst, header[8], vlan)
}

fn parse_ipv6(packet: &[u8], vlan: [u16; 3]) -> Result<Segment<'_>, Dropped> {
    let fixed: &[u8; 40] = packet.first_chunk().ok_or(Dropped::FrameTruncated)?;
    let mut end = 40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    if end == 40 {
        end = packet.len(); // jumbogram or offload
    }
    let (mut header, mut at) = (fixed[6], 40);
    for _ in 0..MAX_EXTENSION_HEADERS {
        if header == PROTOCOL_TCP {
            if at > end {
                return Err(Dropped::IpMalformed);
            }
            let segment = packet.get(at..end.min(packet.len())).unwrap_or(&[]);
            let mut src = [0; 16];
            let mut dst = [0; 16];
            src.copy_from_slice(&fixed[8..24]);
            dst.copy_from_slice(&fixed[24..40]);
            return parse_tcp(segment, end - at, src, dst, fixed[7], vlan);
        }
        if !matches!(header, 0 | 43 | 60 | 135 | 139 | 140 | HEADER_FRAGMENT | HEADER_AH) {
            return Err(Dropped::NotTcp);
        }
        let extension: &[u8] = packet.get(at..at + 8).ok_or(Dropped::FrameTruncated)?;
        let length = match header {
            HEADER_FRAGMENT => {
                if u16::from_be_bytes([extension[2], extension[3]]) & 0xFFF9 != 0 {
                    return Err(Dropped::IpFragment);
                }
                8
            }
            HEADER_AH => (usize::from(extension[1]) + 2) * 4,
            _ => (usize::from(extension[1]) + 1) * 8,
        };
        header = extension[0];
        at += length;
    }
    Err(Dropped::IpMalformed)
}

fn parse_tcp(
    data: &[u8],
    claimed: usize,
    src_addr: Address,
    dst_addr: Address,
    ttl: u8,
    vlan: [u16; 3],
) -> Result<Segment<'_>, Dropped> {
    if claimed < 20 {
        return Err(Dropped::TcpMalformed);
    }
    let header: &[u8; 20] = data.first_chunk().ok_or(Dropped::FrameTruncated)?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < 20 || header_length > claimed {
        return Err(Dropped::TcpMalformed);
    }
    Ok(Segment {
        src_addr,
        dst_addr,
        src_port: u16::from_be_bytes([header[0], header[1]]),
        dst_port: u16::from_be_bytes([header[2], header[3]]),
        vlan,
        ttl,
        seq: be32(header, 4).unwrap_or_default(),
        ack: be32(header, 8).unwrap_or_default(),
        flags: header[13],
        payload: data.get(header_length..).unwrap_or(&[]),
        length: u32::try_from(claimed - header_length).unwrap_or(u32::MAX),
    })
}

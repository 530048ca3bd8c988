//! TCP and UDP headers; see `hbids/decode/reference/transport.py`.

use crate::layers::{be16, Datagram, Dropped, Found, Segment, Step, Walk};
use crate::tunnel::Tunnels;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;

pub(crate) const UDP_HEADER_BYTES: usize = 8;

/// A segment.
pub(crate) fn read_tcp<'a>(walk: &Walk, data: &'a [u8]) -> Result<Segment<'a>, Dropped> {
    if walk.claimed < 20 {
        return Err(Dropped::TcpMalformed);
    }
    let header: &[u8; 20] = data.first_chunk().ok_or(Dropped::FrameTruncated)?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < 20 || header_length > walk.claimed {
        return Err(Dropped::TcpMalformed);
    }
    let u32_at = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Ok(Segment {
        src_addr: walk.src_addr,
        dst_addr: walk.dst_addr,
        src_port: u16::from_be_bytes([header[0], header[1]]),
        dst_port: u16::from_be_bytes([header[2], header[3]]),
        vlan: walk.vlan,
        ttl: walk.ttl,
        seq: u32_at(4),
        ack: u32_at(8),
        flags: header[13],
        urgent: u16::from_be_bytes([header[18], header[19]]),
        header_right: walk.header_right,
        header_length: (header[12] >> 4) * 4,
        whole: data,
        length: u32::try_from(walk.claimed - header_length).unwrap_or(u32::MAX),
    })
}

/// What a tunnel carries, or the datagram itself.
pub(crate) fn read_udp<'a>(walk: &Walk, tunnels: &Tunnels, data: &'a [u8]) -> Result<Step<'a>, Dropped> {
    if walk.claimed < UDP_HEADER_BYTES {
        return Err(Dropped::UdpMalformed);
    }
    if data.len() < UDP_HEADER_BYTES {
        return Err(Dropped::FrameTruncated);
    }
    let number = |at: usize| be16(data, at).unwrap_or_default();
    let (src_port, dst_port) = (number(0), number(2));
    let mut length = usize::from(number(4));
    if length == 0 {
        length = walk.claimed; // longer than the field can say, or left to the network card
    }
    if length < UDP_HEADER_BYTES || length > walk.claimed {
        return Err(Dropped::UdpMalformed);
    }
    let payload = &data[UDP_HEADER_BYTES..length.min(data.len())];
    if let Some((layer, inner)) = tunnels.inside(dst_port, payload).or_else(|| tunnels.inside(src_port, payload)) {
        return Ok(Step::Next(layer, inner));
    }
    Ok(Step::Found(Found::Datagram(Datagram {
        src_addr: walk.src_addr,
        dst_addr: walk.dst_addr,
        src_port,
        dst_port,
        vlan: walk.vlan,
        ttl: walk.ttl,
        header_right: walk.header_right,
        whole: &data[..length.min(data.len())],
        length: u32::try_from(length - UDP_HEADER_BYTES).unwrap_or(u32::MAX),
    })))
}

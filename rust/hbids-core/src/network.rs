//! IPv4 and IPv6 with its extension headers; see `hbids/decode/reference/network.py`.

use crate::layers::{is_sum_right, Address, Dropped, Found, Fragment, FragmentKey, Layer, Step, Walk};

/// IP protocol number of TCP.
pub(crate) const PROTOCOL_TCP: u8 = 6;
pub(crate) const PROTOCOL_UDP: u8 = 17;
/// Stands for that of EAPOL, which has no IP; as `hbids.facts.PROTOCOL_EAPOL`.
pub(crate) const PROTOCOL_EAPOL: u8 = 255;
const HEADER_FRAGMENT: u8 = 44;
const HEADER_AH: u8 = 51;
const MAX_EXTENSION_HEADERS: usize = 16;
const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];

/// A packet of either version; its first bits tell.
pub(crate) fn read_ip<'a>(walk: &mut Walk, packet: &'a [u8]) -> Result<Step<'a>, Dropped> {
    match packet.first().map(|byte| byte >> 4) {
        None => Err(Dropped::FrameTruncated),
        Some(4) => read_ipv4(walk, packet),
        Some(6) => read_ipv6(walk, packet),
        Some(_) => Err(Dropped::IpMalformed),
    }
}

/// What an IP header says follows it.
pub(crate) fn read_ip_payload<'a>(
    walk: &mut Walk,
    version: u8,
    protocol: u8,
    data: &'a [u8],
) -> Result<Step<'a>, Dropped> {
    if version == 6 {
        return read_extensions(walk, protocol, data);
    }
    layer_of_protocol(protocol).map(|layer| Step::Next(layer, data)).ok_or(Dropped::NotTcp)
}

fn layer_of_protocol(protocol: u8) -> Option<Layer> {
    match protocol {
        PROTOCOL_TCP => Some(Layer::Tcp),
        PROTOCOL_UDP => Some(Layer::Udp),
        4 | 41 => Some(Layer::Ip),
        47 => Some(Layer::Gre),
        137 => Some(Layer::Mpls),
        _ => None,
    }
}

fn mapped(address: &[u8]) -> Address {
    let mut mapped = [0; 16];
    mapped[..12].copy_from_slice(&V4_MAPPED);
    mapped[12..].copy_from_slice(address);
    mapped
}

fn read_ipv4<'a>(walk: &mut Walk, packet: &'a [u8]) -> Result<Step<'a>, Dropped> {
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
    walk.src_addr = mapped(&header[12..16]);
    walk.dst_addr = mapped(&header[16..20]);
    walk.ttl = header[8];
    walk.header_right = if header_length == header.len() {
        is_sum_right(header) // of a known length, and so without a loop
    } else {
        packet.get(..header_length).is_none_or(is_sum_right)
    };
    walk.claimed = total_length - header_length;
    let (protocol, data) = (header[9], packet.get(header_length..total_length.min(packet.len())).unwrap_or(&[]));
    let place = u16::from_be_bytes([header[6], header[7]]);
    if place & 0x3FFF != 0 && layer_of_protocol(protocol).is_some() {
        // more fragments, or an offset
        let identification = u32::from(u16::from_be_bytes([header[4], header[5]]));
        return Ok(Step::Found(Found::Fragment(Box::new(Fragment {
            key: FragmentKey { version: 4, protocol, identification, src_addr: walk.src_addr, dst_addr: walk.dst_addr },
            protocol,
            offset: usize::from(place & 0x1FFF) * 8,
            more: place & 0x2000 != 0,
            payload: data,
            length: walk.claimed,
            walk: *walk,
        }))));
    }
    read_ip_payload(walk, 4, protocol, data)
}

fn read_ipv6<'a>(walk: &mut Walk, packet: &'a [u8]) -> Result<Step<'a>, Dropped> {
    let header: &[u8; 40] = packet.first_chunk().ok_or(Dropped::FrameTruncated)?;
    let mut end = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if end == 40 {
        end = packet.len(); // jumbogram or offload
    }
    walk.src_addr.copy_from_slice(&header[8..24]);
    walk.dst_addr.copy_from_slice(&header[24..40]);
    walk.ttl = header[7];
    walk.header_right = true; // it has none
    walk.claimed = end - 40;
    read_extensions(walk, header[6], &packet[40..end.min(packet.len())])
}

fn read_extensions<'a>(walk: &mut Walk, mut header: u8, mut data: &'a [u8]) -> Result<Step<'a>, Dropped> {
    for _ in 0..MAX_EXTENSION_HEADERS {
        if let Some(layer) = layer_of_protocol(header) {
            return Ok(Step::Next(layer, data));
        }
        if !matches!(header, 0 | 43 | 60 | 135 | 139 | 140 | HEADER_FRAGMENT | HEADER_AH) {
            return Err(Dropped::NotTcp);
        }
        if walk.claimed < 8 {
            return Err(Dropped::IpMalformed);
        }
        let extension: &[u8; 8] = data.first_chunk().ok_or(Dropped::FrameTruncated)?;
        let length = match header {
            HEADER_FRAGMENT => {
                let place = u16::from_be_bytes([extension[2], extension[3]]);
                if place & 0xFFF9 != 0 {
                    return Ok(Step::Found(Found::Fragment(Box::new(ipv6_fragment(walk, extension, &data[8..])))));
                }
                8
            }
            HEADER_AH => (usize::from(extension[1]) + 2) * 4,
            _ => (usize::from(extension[1]) + 1) * 8,
        };
        header = extension[0];
        data = data.get(length..).unwrap_or(&[]);
        walk.claimed = walk.claimed.checked_sub(length).ok_or(Dropped::IpMalformed)?;
    }
    Err(Dropped::IpMalformed)
}

fn ipv6_fragment<'a>(walk: &Walk, header: &[u8; 8], payload: &'a [u8]) -> Fragment<'a> {
    let place = u16::from_be_bytes([header[2], header[3]]);
    Fragment {
        key: FragmentKey {
            version: 6,
            protocol: 0,
            identification: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            src_addr: walk.src_addr,
            dst_addr: walk.dst_addr,
        },
        protocol: header[0],
        offset: usize::from(place & 0xFFF8),
        more: place & 1 != 0,
        payload,
        length: walk.claimed - 8,
        walk: *walk,
    }
}

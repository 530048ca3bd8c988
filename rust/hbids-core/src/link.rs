//! What stands before IP: link layers, VLAN tags, MPLS, PPP and `PPPoE`; see `hbids/decode/reference/link.py`.

use crate::layers::{be16, is_sum_right, rest, Dropped, Layer, Walk};

const LINK_NULL: u16 = 0;
const LINK_ETHERNET: u16 = 1;
const LINK_PPPOE: u16 = 51;
const LINK_LOOP: u16 = 108;
const LINK_SLL: u16 = 113;
const LINK_SLL2: u16 = 276;
/// Address families that BSD systems and Linux write for IPv4 and IPv6 on loopback captures.
const NULL_FAMILIES: [u32; 5] = [2, 10, 24, 28, 30];

pub(crate) type Mac = [u8; 6];
/// Of all next to each other that speak EAPOL.
pub(crate) const GROUP_MAC: Mac = [0x01, 0x80, 0xC2, 0x00, 0x00, 0x03];

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
const PPP_ADDRESS_CONTROL: [u8; 2] = [0xFF, 0x03];
const PPPOE_VERSION_TYPE: u8 = 0x11;
const PPPOE_SESSION: u8 = 0;
const PPPOE_HEADER_BYTES: usize = 6;
const CONTROL_WORD_BYTES: usize = 4;

/// The innermost header with MAC addresses, and what follows it.
#[derive(Clone, Copy)]
pub(crate) struct Link<'a> {
    pub(crate) link_type: u16,
    pub(crate) data: &'a [u8],
}

impl<'a> Link<'a> {
    pub(crate) fn ethernet(data: &'a [u8]) -> Self {
        Self { link_type: LINK_ETHERNET, data }
    }

    /// Target and source. Cooked frames do not tell who they are for: it may be any that speak EAPOL. Zeros where there
    /// are none.
    pub(crate) fn macs(&self) -> [Mac; 2] {
        let mac = |at: usize| rest(self.data, at).first_chunk().copied().unwrap_or_default();
        match self.link_type {
            LINK_ETHERNET => [mac(0), mac(6)],
            LINK_SLL => [GROUP_MAC, mac(6)],
            LINK_SLL2 => [GROUP_MAC, mac(12)],
            _ => [Mac::default(); 2],
        }
    }
}

/// Where the walk through a frame begins.
pub(crate) fn first_layer(link_type: u16, frame: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    match link_type {
        LINK_ETHERNET => Ok((Layer::Ethernet, frame)),
        12 | 14 | 101 | 228 | 229 => Ok((Layer::Ip, frame)),
        9 | 50 => Ok((Layer::Ppp, frame)),
        LINK_PPPOE => Ok((Layer::Pppoe, frame)),
        LINK_SLL => ethertype_at(14, frame, 16),
        LINK_SLL2 => ethertype_at(0, frame, 20),
        LINK_NULL | LINK_LOOP => {
            let (family, packet) = frame.split_first_chunk::<4>().ok_or(Dropped::FrameTruncated)?;
            let known = |number: u32| NULL_FAMILIES.contains(&number);
            if !known(u32::from_le_bytes(*family)) && !known(u32::from_be_bytes(*family)) {
                return Err(Dropped::NotIp);
            }
            Ok((Layer::Ip, packet))
        }
        _ => Err(Dropped::LinkTypeUnsupported),
    }
}

/// What an ethertype says stands next.
pub(crate) fn layer_of_ethertype(ethertype: u16) -> Option<Layer> {
    match ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Some(Layer::Ip),
        0x8100 | 0x88A8 | 0x9100 => Some(Layer::Vlan),
        0x8847 | 0x8848 => Some(Layer::Mpls),
        0x8864 => Some(Layer::Pppoe),
        0x6558 => Some(Layer::Ethernet),
        0x888E => Some(Layer::Eapol),
        _ => None,
    }
}

/// The same for the layer that begins `data`.
pub(crate) fn by_ethertype(ethertype: u16, data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    Ok((layer_of_ethertype(ethertype).ok_or(Dropped::NotIp)?, data))
}

/// Two addresses and an ethertype.
pub(crate) fn read_ethernet(data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    ethertype_at(12, data, 14)
}

/// What follows the ethertype of a tag: the tag and another ethertype.
pub(crate) fn read_vlan<'a>(walk: &mut Walk, data: &'a [u8]) -> Result<(Layer, &'a [u8]), Dropped> {
    if data.len() < 4 {
        return Err(Dropped::FrameTruncated);
    }
    walk.tag(be16(data, 0).ok_or(Dropped::FrameTruncated)? & 0x0FFF);
    ethertype_at(2, data, 4)
}

/// A stack of labels, and a payload whose kind only its first bytes tell: IP, or Ethernet (a pseudowire) with or without
/// control word.
pub(crate) fn read_mpls(data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    let bottom = data.chunks_exact(4).position(|label| label[2] & 1 == 1).ok_or(Dropped::FrameTruncated)?;
    let payload = rest(data, (bottom + 1) * 4);
    let kind = payload.first().ok_or(Dropped::FrameTruncated)? >> 4;
    // The address that begins an Ethernet frame may look like the first byte of IP.
    if matches!(kind, 4 | 6) && (is_sound_ip(payload) || !looks_like_ethernet(payload)) {
        return Ok((Layer::Ip, payload));
    }
    let behind_control_word = rest(payload, CONTROL_WORD_BYTES);
    if kind == 0 && looks_like_ethernet(behind_control_word) {
        return Ok((Layer::Ethernet, behind_control_word));
    }
    if looks_like_ethernet(payload) {
        Ok((Layer::Ethernet, payload))
    } else {
        Err(Dropped::NotIp)
    }
}

/// A session's header; discovery carries nothing.
pub(crate) fn read_pppoe(data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    let (header, payload) = data.split_first_chunk::<PPPOE_HEADER_BYTES>().ok_or(Dropped::FrameTruncated)?;
    if header[0] != PPPOE_VERSION_TYPE {
        return Err(Dropped::TunnelUnreadable);
    }
    if header[1] != PPPOE_SESSION {
        return Err(Dropped::NotIp);
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    Ok((Layer::Ppp, &payload[..length.min(payload.len())]))
}

/// A protocol number of one or two bytes, in HDLC-like framing or not; or Cisco's HDLC.
pub(crate) fn read_ppp(data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    if data.starts_with(&[0x0F, 0x00]) || data.starts_with(&[0x8F, 0x00]) {
        return ethertype_at(2, data, 4);
    }
    let data = data.strip_prefix(&PPP_ADDRESS_CONTROL).unwrap_or(data);
    let (protocol, payload) = match data {
        [short, payload @ ..] if short & 1 == 1 => (u16::from(*short), payload),
        [high, low, payload @ ..] => (u16::from_be_bytes([*high, *low]), payload),
        _ => return Err(Dropped::FrameTruncated),
    };
    match protocol {
        0x0021 | 0x0057 => Ok((Layer::Ip, payload)),
        0x0281 | 0x0283 => Ok((Layer::Mpls, payload)),
        _ => Err(Dropped::NotIp),
    }
}

fn ethertype_at(at: usize, data: &[u8], header_bytes: usize) -> Result<(Layer, &[u8]), Dropped> {
    let payload = data.get(header_bytes..).ok_or(Dropped::FrameTruncated)?;
    by_ethertype(be16(data, at).ok_or(Dropped::FrameTruncated)?, payload)
}

/// Whether it is a packet by more than its first bits: by its checksum, or by its length where it has none.
fn is_sound_ip(payload: &[u8]) -> bool {
    let first = payload.first().copied().unwrap_or_default();
    if first >> 4 == 6 {
        let length = be16(payload, 4).map(|length| 40 + usize::from(length));
        return payload.len() >= 40 && length == Some(payload.len());
    }
    let header = &payload[..payload.len().min(usize::from(first & 0x0F) * 4)];
    header.len() >= 20 && is_sum_right(header)
}

/// Whether an ethertype stands where Ethernet has it, and IP, if it speaks of IP, is there.
fn looks_like_ethernet(data: &[u8]) -> bool {
    let (Some(ethertype), Some(next)) = (be16(data, 12), data.get(14)) else {
        return false;
    };
    match ethertype {
        ETHERTYPE_IPV4 => next >> 4 == 4,
        ETHERTYPE_IPV6 => next >> 4 == 6,
        _ => layer_of_ethertype(ethertype).is_some(),
    }
}

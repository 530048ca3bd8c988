//! Tunnels over IP (GRE, ERSPAN) and over UDP (VXLAN, GENEVE, GTP-U, Teredo); see `hbids/decode/reference/tunnel.py`.

use std::collections::BTreeMap;

use crate::layers::{rest, Dropped, Layer};
use crate::link::{by_ethertype, layer_of_ethertype};
use crate::run::Limits;

const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const GRE_ACK: u16 = 0x0080;
const GRE_VERSION: u16 = 0x0007;
const GRE_PPTP: u16 = 1;
const PROTOCOL_ERSPAN: u16 = 0x88BE;
const PROTOCOL_ERSPAN_III: u16 = 0x22EB;
const PROTOCOL_PPP: u16 = 0x880B;

const VXLAN_VALID: u8 = 0x08;
const VXLAN_GPE: u8 = 0x04;
const VXLAN_VERSION: u8 = 0x30;
const GTP_G_PDU: u8 = 0xFF;
const TEREDO_AUTHENTICATION: [u8; 2] = [0, 1];
const TEREDO_ORIGIN: [u8; 2] = [0, 0];
const TEREDO_ORIGIN_BYTES: usize = 8;

/// Versions 0 and 1 of GRE. Source routes, which no system sends or takes, are not read.
pub(crate) fn read_gre(data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    let (header, _) = data.split_first_chunk::<4>().ok_or(Dropped::FrameTruncated)?;
    let flags = u16::from_be_bytes([header[0], header[1]]);
    let version = flags & GRE_VERSION;
    if version > GRE_PPTP || flags & GRE_ROUTING != 0 {
        return Err(Dropped::TunnelUnreadable);
    }
    let mut optional = GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE;
    if version == GRE_PPTP {
        optional |= GRE_ACK;
    }
    let start = 4 + 4 * (flags & optional).count_ones() as usize;
    let payload = data.get(start..).ok_or(Dropped::FrameTruncated)?;
    if version == GRE_PPTP && flags & GRE_SEQUENCE == 0 {
        return Err(Dropped::NotIp); // an acknowledgement alone
    }
    match u16::from_be_bytes([header[2], header[3]]) {
        PROTOCOL_PPP => Ok((Layer::Ppp, payload)),
        // Type I has neither sequence number nor header.
        PROTOCOL_ERSPAN if flags & GRE_SEQUENCE == 0 => Ok((Layer::Ethernet, payload)),
        PROTOCOL_ERSPAN => erspan_ii(payload),
        PROTOCOL_ERSPAN_III => erspan_iii(payload),
        ethertype => by_ethertype(ethertype, payload),
    }
}

fn erspan_ii(data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    let (header, payload) = data.split_first_chunk::<8>().ok_or(Dropped::FrameTruncated)?;
    if header[0] >> 4 == 1 {
        Ok((Layer::Ethernet, payload))
    } else {
        Err(Dropped::TunnelUnreadable)
    }
}

fn erspan_iii(data: &[u8]) -> Result<(Layer, &[u8]), Dropped> {
    let header: &[u8; 12] = data.first_chunk().ok_or(Dropped::FrameTruncated)?;
    if header[0] >> 4 != 2 {
        return Err(Dropped::TunnelUnreadable);
    }
    let start = if header[11] & 1 == 1 { 20 } else { 12 }; // a platform's own header follows
    let payload = data.get(start..).ok_or(Dropped::FrameTruncated)?;
    match header[10] >> 2 & 0x1F {
        0 => Ok((Layer::Ethernet, payload)),
        2 => Ok((Layer::Ip, payload)),
        _ => Err(Dropped::TunnelUnreadable),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Vxlan,
    Geneve,
    Gtp,
    Teredo,
}

/// Which tunnel each UDP port is of.
pub(crate) struct Tunnels {
    by_port: BTreeMap<u16, Kind>,
}

impl Tunnels {
    /// Of tunnels that share a port, the last one here has it.
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut by_port = BTreeMap::new();
        for (ports, kind) in [
            (&limits.vxlan_ports, Kind::Vxlan),
            (&limits.geneve_ports, Kind::Geneve),
            (&limits.gtp_ports, Kind::Gtp),
            (&limits.teredo_ports, Kind::Teredo),
        ] {
            by_port.extend(ports.iter().map(|port| (*port, kind)));
        }
        Self { by_port }
    }

    /// What the payload of a datagram on `port` carries; none when it is not of the tunnel of that port.
    pub(crate) fn inside<'a>(&self, port: u16, payload: &'a [u8]) -> Option<(Layer, &'a [u8])> {
        match self.by_port.get(&port)? {
            Kind::Vxlan => vxlan(payload),
            Kind::Geneve => geneve(payload),
            Kind::Gtp => gtp(payload),
            Kind::Teredo => teredo(payload),
        }
    }
}

/// Also its generic extension, which says what it carries.
fn vxlan(data: &[u8]) -> Option<(Layer, &[u8])> {
    let (header, payload) = data.split_first_chunk::<8>()?;
    if header[0] & (VXLAN_VERSION | VXLAN_VALID) != VXLAN_VALID {
        return None;
    }
    let layer = match (header[0] & VXLAN_GPE, header[3]) {
        (0, _) | (_, 3) => Layer::Ethernet,
        (_, 1 | 2) => Layer::Ip,
        (_, 5) => Layer::Mpls,
        _ => return None,
    };
    Some((layer, payload))
}

fn geneve(data: &[u8]) -> Option<(Layer, &[u8])> {
    let (header, payload) = data.split_first_chunk::<8>()?;
    if header[0] >> 6 != 0 || header[1] & 0x3F != 0 {
        return None;
    }
    let layer = layer_of_ethertype(u16::from_be_bytes([header[2], header[3]]))?;
    Some((layer, payload.get(usize::from(header[0] & 0x3F) * 4..)?))
}

fn gtp(data: &[u8]) -> Option<(Layer, &[u8])> {
    let header: &[u8; 8] = data.first_chunk()?;
    if header[0] >> 4 != 3 || header[1] != GTP_G_PDU {
        return None;
    }
    let end = data.len().min(8 + usize::from(u16::from_be_bytes([header[2], header[3]])));
    let mut start = 8;
    if header[0] & 7 != 0 {
        // sequence number, N-PDU number, extension headers: one brings room for all
        start = 12;
        let mut following = if header[0] & 4 == 0 { 0 } else { data.get(11).copied().unwrap_or(0) };
        while following != 0 {
            let units = data.get(start).copied().filter(|units| *units > 0)?;
            start += usize::from(units) * 4;
            following = data.get(start - 1).copied().unwrap_or(0);
        }
    }
    let inner = data.get(start..end)?;
    matches!(inner.first()? >> 4, 4 | 6).then_some((Layer::Ip, inner))
}

fn teredo(mut data: &[u8]) -> Option<(Layer, &[u8])> {
    if data.starts_with(&TEREDO_AUTHENTICATION) && data.len() >= 4 {
        // identifier, authentication value, nonce and confirmation
        data = rest(data, 4 + usize::from(data[2]) + usize::from(data[3]) + 9);
    }
    if data.starts_with(&TEREDO_ORIGIN) {
        data = rest(data, TEREDO_ORIGIN_BYTES);
    }
    (data.first()? >> 4 == 6).then_some((Layer::Ip, data))
}

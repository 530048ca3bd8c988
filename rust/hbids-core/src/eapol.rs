//! EAPOL: EAP on a network itself; see `hbids/decode/reference/eapol.py`.

use crate::layers::{be16, Address, Dropped, Eapol, Walk};
use crate::link::{Link, Mac, GROUP_MAC};

const HEADER_BYTES: usize = 4;
const EAP_PACKET: u8 = 0;
/// The bit of a MAC address that an interface identifier has the other way round.
const UNIVERSAL: u8 = 0x02;
/// Of all there that speak EAPOL.
pub(crate) const GROUP_ADDRESS: Address = link_local(GROUP_MAC);

/// The IPv6 address that stands for a MAC address.
const fn link_local(mac: Mac) -> Address {
    [0xFE, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ UNIVERSAL, mac[1], mac[2], 0xFF, 0xFE, mac[3], mac[4], mac[5]]
}

/// Of EAPOL's packets only those that carry EAP are of interest.
pub(crate) fn read_eapol<'a>(walk: &Walk, link: Link<'_>, data: &'a [u8]) -> Result<Eapol<'a>, Dropped> {
    let (header, body) = data.split_first_chunk::<HEADER_BYTES>().ok_or(Dropped::FrameTruncated)?;
    if header[1] != EAP_PACKET {
        return Err(Dropped::NotIp);
    }
    let length = be16(header, 2).map(usize::from).unwrap_or_default();
    let [target, source] = link.macs();
    Ok(Eapol {
        src_addr: link_local(source),
        dst_addr: link_local(target),
        vlan: walk.vlan,
        payload: &body[..body.len().min(length)],
        length,
    })
}

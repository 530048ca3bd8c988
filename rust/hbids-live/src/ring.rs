//! What lies in a block of a `TPACKET_V3` ring.

use std::mem::offset_of;

use libc::{tpacket3_hdr, tpacket_block_desc, tpacket_hdr_v1, tpacket_hdr_variant1};

const VLAN_TAG_BYTES: usize = 4;
const MACS_BYTES: usize = 12;
/// The tag protocol of old kernels, which do not tell it.
const ETHERTYPE_VLAN: u16 = 0x8100;

const BLOCK_PACKETS_AT: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, num_pkts);
const BLOCK_FIRST_AT: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
const VLAN_TCI_AT: usize = offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tci);
const VLAN_TPID_AT: usize = offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tpid);

/// A frame in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) time_ns: i64,
    /// Of its first byte in the block.
    pub(crate) at: u32,
    pub(crate) captured_bytes: u32,
    pub(crate) wire_bytes: u32,
    /// `TP_STATUS_` flags.
    pub(crate) status: u32,
}

/// Walk through a block's frames, and write back into each the VLAN tag that the kernel keeps beside it: room for that was
/// asked for in front of the frames (`PACKET_RESERVE`). What does not lie within the block ends the walk.
pub(crate) fn walk(block: &mut [u8], mut each: impl FnMut(Place)) {
    let count = u32_at(block, BLOCK_PACKETS_AT).unwrap_or_default();
    let mut at = u32_at(block, BLOCK_FIRST_AT).unwrap_or_default() as usize;
    for _ in 0..count {
        let Some((place, next)) = read(block, at) else {
            return;
        };
        each(place);
        at += next;
    }
}

fn read(block: &mut [u8], at: usize) -> Option<(Place, usize)> {
    let header = block.get(at..)?;
    let next = u32_at(header, offset_of!(tpacket3_hdr, tp_next_offset))?;
    let seconds = u32_at(header, offset_of!(tpacket3_hdr, tp_sec))?;
    let nanoseconds = u32_at(header, offset_of!(tpacket3_hdr, tp_nsec))?;
    let mut captured_bytes = u32_at(header, offset_of!(tpacket3_hdr, tp_snaplen))?;
    let mut wire_bytes = u32_at(header, offset_of!(tpacket3_hdr, tp_len))?;
    let status = u32_at(header, offset_of!(tpacket3_hdr, tp_status))?;
    let mut start = at + usize::from(u16_at(header, offset_of!(tpacket3_hdr, tp_mac))?);
    let tag = (u32_at(header, VLAN_TCI_AT)? as u16, u16_at(header, VLAN_TPID_AT)?);
    if status & libc::TP_STATUS_VLAN_VALID != 0 && captured_bytes as usize >= MACS_BYTES {
        let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID == 0 { ETHERTYPE_VLAN } else { tag.1 };
        let tagged = block.get_mut(start.checked_sub(VLAN_TAG_BYTES)?..start + MACS_BYTES)?;
        tagged.copy_within(VLAN_TAG_BYTES.., 0);
        tagged[MACS_BYTES..MACS_BYTES + 2].copy_from_slice(&tpid.to_be_bytes());
        tagged[MACS_BYTES + 2..].copy_from_slice(&tag.0.to_be_bytes());
        start -= VLAN_TAG_BYTES;
        captured_bytes += VLAN_TAG_BYTES as u32;
        wire_bytes += VLAN_TAG_BYTES as u32;
    }
    block.get(start..start + captured_bytes as usize)?;
    let time_ns = i64::from(seconds) * 1_000_000_000 + i64::from(nanoseconds);
    Some((Place { time_ns, at: start as u32, captured_bytes, wire_bytes, status }, next as usize))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

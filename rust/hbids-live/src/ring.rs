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
        if next == 0 {
            return; // as behind the last
        }
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

#[cfg(test)]
mod tests {
    use super::{walk, Place, BLOCK_FIRST_AT, BLOCK_PACKETS_AT, VLAN_TCI_AT, VLAN_TPID_AT};
    use libc::{tpacket3_hdr, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID};
    use std::mem::offset_of;

    const FIRST: usize = 48;
    const MAC: usize = 82;
    const FRAME: &[u8] = b"TARGETSOURCE\x08\x00payload";

    fn put(block: &mut [u8], at: usize, value: &[u8]) {
        block[at..at + value.len()].copy_from_slice(value);
    }

    /// A block of one frame, as the kernel lays it out.
    fn block(status: u32) -> Vec<u8> {
        let mut block = vec![0; 512];
        put(&mut block, BLOCK_PACKETS_AT, &1_u32.to_ne_bytes());
        put(&mut block, BLOCK_FIRST_AT, &(FIRST as u32).to_ne_bytes());
        let length = (FRAME.len() as u32).to_ne_bytes();
        for (at, value) in [
            (offset_of!(tpacket3_hdr, tp_sec), 7_u32.to_ne_bytes()),
            (offset_of!(tpacket3_hdr, tp_nsec), 9_u32.to_ne_bytes()),
            (offset_of!(tpacket3_hdr, tp_snaplen), length),
            (offset_of!(tpacket3_hdr, tp_len), length),
            (offset_of!(tpacket3_hdr, tp_status), status.to_ne_bytes()),
            (VLAN_TCI_AT, 0x6064_u32.to_ne_bytes()),
        ] {
            put(&mut block, FIRST + at, &value);
        }
        put(&mut block, FIRST + offset_of!(tpacket3_hdr, tp_mac), &(MAC as u16).to_ne_bytes());
        put(&mut block, FIRST + VLAN_TPID_AT, &0x88A8_u16.to_ne_bytes());
        put(&mut block, FIRST + MAC, FRAME);
        block
    }

    fn places(block: &mut [u8]) -> Vec<Place> {
        let mut places = Vec::new();
        walk(block, |place| places.push(place));
        places
    }

    fn frame(block: &[u8], place: &Place) -> Vec<u8> {
        block[place.at as usize..][..place.captured_bytes as usize].to_vec()
    }

    #[test]
    fn a_frame_is_found_where_it_lies() {
        let mut block = block(0);
        let [place] = places(&mut block)[..] else { panic!("one frame") };
        assert_eq!((place.time_ns, place.wire_bytes), (7_000_000_009, FRAME.len() as u32));
        assert_eq!(frame(&block, &place), FRAME);
    }

    #[test]
    fn a_tag_goes_back_behind_the_addresses() {
        for (status, tpid) in [
            (TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID, b"\x88\xA8"),
            (TP_STATUS_VLAN_VALID, b"\x81\x00"), // of a kernel that does not tell which kind it was
        ] {
            let mut block = block(status);
            let [place] = places(&mut block)[..] else { panic!("one frame") };
            assert_eq!(frame(&block, &place), [&FRAME[..12], tpid, b"\x60\x64", &FRAME[12..]].concat());
            assert_eq!(place.wire_bytes as usize, FRAME.len() + 4);
        }
    }

    #[test]
    fn what_does_not_lie_within_the_block_is_no_frame() {
        let sound = block(TP_STATUS_VLAN_VALID);
        for at in 0..FIRST + offset_of!(tpacket3_hdr, tp_padding) {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut block = sound.clone();
                block[at] = value;
                for place in places(&mut block) {
                    assert!(place.at as usize + place.captured_bytes as usize <= block.len());
                }
            }
        }
        for length in 0..sound.len() {
            assert!(places(&mut sound[..length].to_vec()).len() <= 1);
        }
    }
}

//! Classic capture files: pcap (draft-ietf-opsawg-pcap), with microseconds or nanoseconds, in either byte order.

use super::order::Order;
use super::split::{FaultKind, Split, Unreadable};

const FILE_HEADER_BYTES: usize = 24;

/// The largest snap length libpcap and Wireshark write. A record header has no other mark by which it could be told from
/// garbage, so a larger packet is garbage.
const LARGEST_PACKET_BYTES: u32 = 262_144;

/// Walks the records of one file, from the file header on.
pub(super) struct Pcap {
    order: Order,
    fraction_ns: i64,
    header_bytes: usize,
    contents: Option<Contents>,
}

/// What the file header says about all records.
#[derive(Clone, Copy)]
struct Contents {
    snap_length: u32,
    link_type: u16,
}

impl Pcap {
    /// A walker for the file that begins with these four bytes, `None` when they are not pcap.
    pub fn recognise(magic: [u8; 4]) -> Option<Self> {
        for (order, number) in [(Order::Little, u32::from_le_bytes(magic)), (Order::Big, u32::from_be_bytes(magic))] {
            let (fraction_ns, header_bytes) = match number {
                0xa1b2_c3d4 => (1000, 16),
                0xa1b2_3c4d => (1, 16),
                // Kuznetzov's patched libpcap: interface, protocol and packet type follow the lengths
                0xa1b2_cd34 => (1000, 24),
                _ => continue,
            };
            return Some(Pcap { order, fraction_ns, header_bytes, contents: None });
        }
        None
    }

    /// Collect the frames of whole records; return how many bytes the next record needs.
    pub fn walk(&mut self, chunk: &[u8], split: &mut Split) -> Result<usize, Unreadable> {
        let Some(contents) = self.contents.or_else(|| self.file_header(chunk, split)) else {
            return Ok(FILE_HEADER_BYTES);
        };
        self.contents = Some(contents);
        loop {
            let at = split.consumed;
            let Some([seconds, fraction, captured, wire]) =
                chunk.get(at..at + self.header_bytes).and_then(|header| self.order.u32s(header))
            else {
                return Ok(self.header_bytes);
            };
            if captured > LARGEST_PACKET_BYTES {
                let largest = LARGEST_PACKET_BYTES as usize;
                return Err(Unreadable::new(FaultKind::PacketTooLarge, at, captured as usize, largest));
            }
            let data_at = at + self.header_bytes;
            let record_end = data_at + captured as usize;
            if record_end > chunk.len() {
                return Ok(record_end - at);
            }
            if captured == 0 {
                split.fault(FaultKind::EmptyPacket, at, 0, 0);
            } else if captured > contents.snap_length {
                split.fault(FaultKind::OverSnapLength, at, captured as usize, contents.snap_length as usize);
            }
            // Two unsigned 32-bit fields cannot leave int64 nanoseconds.
            let time_ns = i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.fraction_ns;
            split.frame(time_ns, data_at, captured, wire, contents.link_type, 0);
            split.consumed = record_end;
        }
    }

    fn file_header(&self, chunk: &[u8], split: &mut Split) -> Option<Contents> {
        let [_, _, _, _, snap_length, network] = self.order.u32s(chunk)?;
        split.consumed = FILE_HEADER_BYTES;
        Some(Contents {
            snap_length: if snap_length == 0 { LARGEST_PACKET_BYTES } else { snap_length }, // 0 means without limit
            link_type: network as u16, // above it: frame check sequence bits
        })
    }
}

//! Capture files of the newer kind: pcapng (draft-ietf-opsawg-pcapng).
//!
//! Sections, each in its own byte order; interfaces, each with its own link type and clock; packets in enhanced, simple
//! and obsolete blocks. Every other block is skipped.

use super::interface::Interface;
use super::order::Order;
use super::split::{FaultKind, Split, Unreadable};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const SMALLEST_BLOCK_BYTES: usize = 12;
const SMALLEST_SECTION_BYTES: usize = 28;

/// As Wireshark: bounds what must be held to see a block whole.
const LARGEST_BLOCK_BYTES: usize = 16 << 20;

/// The `interface` column of a frame has 16 bits, and the table must end somewhere.
const MOST_INTERFACES: usize = 1 << 16;

const BYTE_ORDER_MARK: u32 = 0x1a2b_3c4d;
const KNOWN_VERSION: u16 = 1;

/// Walks the blocks of one file.
#[derive(Default)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// Simple packets have no time of their own.
    last_time_ns: i64,
}

/// The fixed fields of a packet block.
struct Packet {
    interface: u32,
    /// `None` in a simple packet.
    ticks: Option<u64>,
    /// `None` in a simple packet: as much of the packet as the snap length allows.
    captured: Option<u32>,
    wire: u32,
}

impl Pcapng {
    /// A walker for the file that begins with these four bytes, `None` when they are not pcapng.
    pub fn recognise(magic: [u8; 4]) -> Option<Self> {
        // The type of a section block reads the same in both byte orders.
        (u32::from_le_bytes(magic) == SECTION).then(Self::default)
    }

    /// Collect the frames of whole blocks; return how many bytes the next block needs.
    pub fn walk(&mut self, chunk: &[u8], split: &mut Split) -> Result<usize, Unreadable> {
        loop {
            let at = split.consumed;
            let Some(&start) = chunk[at..].first_chunk::<SMALLEST_BLOCK_BYTES>() else {
                return Ok(SMALLEST_BLOCK_BYTES);
            };
            let is_section = start[..4] == SECTION.to_le_bytes();
            let order = if is_section { section_order(&start[8..], at)? } else { self.order };
            let Some([kind, length]) = order.u32s(&start) else {
                return Ok(SMALLEST_BLOCK_BYTES);
            };
            let length = length as usize;
            let smallest = if is_section { SMALLEST_SECTION_BYTES } else { SMALLEST_BLOCK_BYTES };
            if length < smallest || length % 4 != 0 {
                return Err(Unreadable::new(FaultKind::BlockLength, at, length, smallest));
            }
            if length > LARGEST_BLOCK_BYTES {
                return Err(Unreadable::new(FaultKind::BlockTooLarge, at, length, LARGEST_BLOCK_BYTES));
            }
            let Some(block) = chunk.get(at..at + length) else {
                return Ok(length);
            };
            let (body, trailer) = block[8..].split_at(length - SMALLEST_BLOCK_BYTES);
            if let Some([trailer]) = order.u32s(trailer).filter(|[trailer]| *trailer as usize != length) {
                return Err(Unreadable::new(FaultKind::BlockTrailer, at, trailer as usize, length));
            }
            match kind {
                OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET => self.packet(kind, body, at, split),
                INTERFACE => self.interface(body, at, split)?,
                SECTION => self.section(order, body, at)?,
                _ => {}
            }
            split.consumed = at + length;
        }
    }

    fn section(&mut self, order: Order, body: &[u8], at: usize) -> Result<(), Unreadable> {
        if let Some([version]) = order.u16s(&body[4..]).filter(|[version]| *version != KNOWN_VERSION) {
            return Err(Unreadable::new(FaultKind::SectionVersion, at, version.into(), KNOWN_VERSION.into()));
        }
        self.order = order;
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8], at: usize, split: &mut Split) -> Result<(), Unreadable> {
        if self.interfaces.len() == MOST_INTERFACES {
            split.fault(FaultKind::TooManyInterfaces, at, MOST_INTERFACES + 1, MOST_INTERFACES);
        } else {
            self.interfaces.push(Interface::read(self.order, body, at, split)?);
        }
        Ok(())
    }

    fn packet(&mut self, kind: u32, body: &[u8], at: usize, split: &mut Split) {
        let header_bytes = if kind == SIMPLE_PACKET { 4 } else { 20 };
        let Some(packet) = Packet::read(kind, self.order, body) else {
            split.fault(FaultKind::PacketBlockShort, at, body.len(), header_bytes);
            return;
        };
        let Some(interface) = self.interfaces.get(packet.interface as usize) else {
            split.fault(FaultKind::UnknownInterface, at, packet.interface as usize, self.interfaces.len());
            return;
        };
        if let Some(ticks) = packet.ticks {
            self.last_time_ns = interface.time_ns(ticks);
        }
        let snap_length = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let mut captured = packet.captured.unwrap_or(packet.wire.min(snap_length));
        let room = body.len() - header_bytes;
        if captured as usize > room {
            split.fault(FaultKind::PacketPastBlock, at, captured as usize, room);
            captured = room as u32;
        }
        if captured == 0 {
            split.fault(FaultKind::EmptyPacket, at, 0, 0);
        } else if captured > snap_length {
            split.fault(FaultKind::OverSnapLength, at, captured as usize, snap_length as usize);
        }
        let data_at = at + 8 + header_bytes;
        let number = packet.interface as u16;
        split.frame(self.last_time_ns, data_at, captured, packet.wire, interface.link_type, number);
    }
}

impl Packet {
    fn read(kind: u32, order: Order, body: &[u8]) -> Option<Self> {
        if kind == SIMPLE_PACKET {
            let [wire] = order.u32s(body)?;
            return Some(Packet { interface: 0, ticks: None, captured: None, wire });
        }
        let [enhanced_interface, high, low, captured, wire] = order.u32s(body)?;
        let interface = if kind == OBSOLETE_PACKET {
            let [interface] = order.u16s(body)?; // a drop counter fills the other half
            interface.into()
        } else {
            enhanced_interface
        };
        let ticks = u64::from(high) << 32 | u64::from(low);
        Some(Packet { interface, ticks: Some(ticks), captured: Some(captured), wire })
    }
}

fn section_order(mark: &[u8], at: usize) -> Result<Order, Unreadable> {
    match Order::Little.u32s(mark) {
        Some([BYTE_ORDER_MARK]) => Ok(Order::Little),
        Some([mark]) if mark.swap_bytes() == BYTE_ORDER_MARK => Ok(Order::Big),
        _ => {
            let seen = Order::Little.u32s(mark).map_or(0, |[mark]| mark as usize);
            Err(Unreadable::new(FaultKind::ByteOrder, at, seen, BYTE_ORDER_MARK as usize))
        }
    }
}

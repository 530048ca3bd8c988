//! Live capture on Linux: `AF_PACKET` sockets with `TPACKET_V3` rings. The kernel writes frames into blocks of memory
//! shared with it; they are decoded where they lie, and the block is given back. See packet(7) and the kernel's
//! Documentation/networking/packet_mmap.rst.
#![cfg(target_os = "linux")]

mod fanout;
mod memory;
mod recent;
mod ring;
mod socket;
mod tap;
mod taps;

pub use fanout::Share;
pub use recent::Chunk;
pub use socket::Instruction;
pub use tap::{Counters, Options};
pub use taps::Taps;

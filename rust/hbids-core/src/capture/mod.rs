//! From the bytes of a capture file to frames. Mirrors `hbids/capture/splitter.py` and the modules beside it; the words
//! for the faults are there too.

mod interface;
mod order;
mod pcap;
mod pcapng;
mod split;

use pcap::Pcap;
use pcapng::Pcapng;
use split::Unreadable;
pub use split::{Fault, FaultKind, Split};

/// Splits one file, fed in chunks of any size.
#[derive(Default)]
pub struct Splitter {
    offset: u64,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Unrecognised,
    Pcap(Pcap),
    Pcapng(Pcapng),
    Stopped,
}

impl Splitter {
    /// Walk a chunk of less than 4 GiB that begins where the previous one was consumed up to.
    ///
    /// With `last` no bytes will follow: a record still incomplete is then a fault. After a fault that is an error
    /// nothing is consumed any more.
    pub fn push(&mut self, chunk: &[u8], last: bool) -> Split {
        let mut split = Split::new(self.offset, chunk.len());
        if let Err(Unreadable { kind, at, seen, expected }) = self.walk(chunk, last, &mut split) {
            split.fault(kind, at, seen, expected);
            self.state = State::Stopped;
        }
        self.offset += split.consumed as u64;
        split
    }

    fn walk(&mut self, chunk: &[u8], last: bool, split: &mut Split) -> Result<(), Unreadable> {
        if let State::Unrecognised = self.state {
            self.recognise(chunk)?;
        }
        let wanted = match &mut self.state {
            State::Unrecognised => 4,
            State::Pcap(pcap) => pcap.walk(chunk, split)?,
            State::Pcapng(pcapng) => pcapng.walk(chunk, split)?,
            State::Stopped => return Ok(()),
        };
        if last {
            self.end(chunk.len() - split.consumed, wanted, split)?;
        }
        Ok(())
    }

    fn recognise(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        let Some(&magic) = chunk.first_chunk() else {
            return Ok(());
        };
        self.state = if let Some(pcap) = Pcap::recognise(magic) {
            State::Pcap(pcap)
        } else if let Some(pcapng) = Pcapng::recognise(magic) {
            State::Pcapng(pcapng)
        } else {
            return Err(Unreadable::new(FaultKind::NotACapture, 0, u32::from_be_bytes(magic) as usize, 0));
        };
        Ok(())
    }

    fn end(&self, rest_bytes: usize, wanted: usize, split: &mut Split) -> Result<(), Unreadable> {
        if self.offset == 0 && split.consumed == 0 {
            let kind = if rest_bytes == 0 { FaultKind::Empty } else { FaultKind::EndsInHeader };
            return Err(Unreadable::new(kind, 0, rest_bytes, wanted));
        }
        if rest_bytes > 0 {
            split.fault(FaultKind::Truncated, split.consumed, rest_bytes, wanted);
        }
        Ok(())
    }
}

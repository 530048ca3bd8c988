//! A handshake message of DTLS, put together: see `hbids/decode/reference/handshake_fragments.py`.

use std::collections::BTreeMap;

/// What a message in the making takes in memory beside its bytes, and each run.
const PIECES_BYTES: u64 = 512;
const RUN_BYTES: u64 = 96;

/// A hello in the making: type, number and length (a retransmission may be cut differently), and what has come of it, in
/// runs by their first byte. A run grows only at its end, so that no order of fragments makes bytes move again and again.
pub(crate) struct Pieces {
    pub(crate) kind: u8,
    number: u16,
    pub(crate) length: u32,
    runs: BTreeMap<usize, Vec<u8>>,
    covered: usize,
}

impl Pieces {
    pub(crate) fn new(kind: u8, number: u16, length: u32) -> Self {
        Self { kind, number, length, runs: BTreeMap::new(), covered: 0 }
    }

    /// Whether a fragment of the message that the other begins belongs here.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        (self.kind, self.number, self.length) == (other.kind, other.number, other.length)
    }

    pub(crate) fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Add a fragment; of bytes that come twice the first copy counts.
    pub(crate) fn add(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        let mut at = offset;
        while at < end {
            let covered_to = self.runs.range(..=at).next_back().map_or(0, |(start, run)| start + run.len());
            if covered_to > at {
                at = covered_to;
                continue;
            }
            let until = self.runs.range(at..).next().map_or(end, |(start, _)| end.min(*start));
            let new = &data[at - offset..until - offset];
            self.covered += new.len();
            match self.runs.range_mut(..at).next_back() {
                Some((start, run)) if start + run.len() == at => run.extend_from_slice(new),
                _ => {
                    self.runs.insert(at, new.to_vec());
                }
            }
            at = until;
        }
    }

    /// All bytes, once there is no hole.
    pub(crate) fn whole(&self) -> Option<Vec<u8>> {
        (self.covered == self.length as usize).then(|| self.runs.values().flatten().copied().collect())
    }

    /// What grows has room for as much again.
    pub(crate) fn held_bytes(&self) -> u64 {
        PIECES_BYTES + 2 * self.covered as u64 + self.runs.len() as u64 * RUN_BYTES
    }
}

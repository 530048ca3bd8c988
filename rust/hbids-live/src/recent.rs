//! The last frames, kept for whoever wants to see what an alert is about.

use std::collections::VecDeque;

use hbids_core::Frame;

/// Frames are let go so many bytes at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Some frames: their bytes, and rows of `FRAME_DTYPE` that say where each lies.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Of all frames, one after another.
    pub data: Vec<u8>,
    /// A row each.
    pub rows: Vec<u8>,
}

/// Copies of the last frames, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct Recent {
    chunks: VecDeque<Chunk>,
    most_chunks: usize,
}

impl Recent {
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { chunks: VecDeque::new(), most_chunks: (most_bytes / CHUNK_BYTES).max(2) }
    }

    pub(crate) fn keep(&mut self, frame: &Frame<'_>, interface: u16) {
        if self.chunks.back().is_none_or(|chunk| chunk.data.len() >= CHUNK_BYTES) {
            if self.chunks.len() >= self.most_chunks {
                self.chunks.pop_front();
            }
            self.chunks.push_back(Chunk::default());
        }
        let Some(chunk) = self.chunks.back_mut() else {
            return;
        };
        chunk.rows.extend(frame.time_ns.to_le_bytes());
        chunk.rows.extend((chunk.data.len() as u32).to_le_bytes());
        chunk.rows.extend((frame.data.len() as u32).to_le_bytes());
        chunk.rows.extend(frame.wire_bytes.to_le_bytes());
        chunk.rows.extend(frame.link_type.to_le_bytes());
        chunk.rows.extend(interface.to_le_bytes());
        chunk.data.extend(frame.data);
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{Recent, CHUNK_BYTES};
    use hbids_core::{Frame, FRAME_ROW_BYTES};

    #[test]
    fn the_oldest_frames_are_let_go() {
        let mut recent = Recent::new(4 * CHUNK_BYTES);
        let data = vec![7; 1_000];
        for time_ns in 0..10_000 {
            recent.keep(&Frame { time_ns, wire_bytes: 1_500, link_type: 1, data: &data }, 3);
        }
        let bytes: usize = recent.chunks().map(|chunk| chunk.data.len()).sum();
        assert!((3 * CHUNK_BYTES..=4 * CHUNK_BYTES + 4_000).contains(&bytes));
        for chunk in recent.chunks() {
            assert_eq!(chunk.rows.len() / FRAME_ROW_BYTES, chunk.data.len() / data.len());
        }
        let last = recent.chunks().last().map(|chunk| chunk.rows[chunk.rows.len() - FRAME_ROW_BYTES..][..8].to_vec());
        assert_eq!(last, Some(9_999_i64.to_le_bytes().to_vec()));
    }
}

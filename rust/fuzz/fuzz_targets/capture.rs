//! Capture files: pcap and pcapng of any bytes.
//!
//! Invariant: nothing panics; frames lie within their chunk, in order and without overlap; notes on faults stay few;
//! what was consumed never shrinks; and how the file is cut into chunks changes neither frames nor faults.
//!
//! Input: a size of chunks, then the file.
#![no_main]

use hbids_core::capture::{FaultKind, Splitter};
use hbids_core::FRAME_ROW_BYTES;
use hbids_fuzz::Input;
use libfuzzer_sys::fuzz_target;

/// A frame by its time, place in the file and lengths, and what else its row says.
type Frame = (i64, u64, u32, u32, [u8; 4]);

fn u32_at(row: &[u8], at: usize) -> u32 {
    row[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Read `file` as hbids does: a window over it grows by `step` bytes, and moves on by what was consumed.
fn read(file: &[u8], step: usize) -> (Vec<Frame>, Vec<(u8, u64, usize)>) {
    let mut splitter = Splitter::default();
    let (mut frames, mut faults): (Vec<Frame>, Vec<(u8, u64, usize)>) = (Vec::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    loop {
        let last = end == file.len();
        end = file.len().min(end + step);
        let split = splitter.push(&file[start..end], last);
        assert!(split.consumed <= end - start);
        let mut free = 0;
        for row in split.rows.chunks(FRAME_ROW_BYTES) {
            let (at, captured) = (u32_at(row, 8) as usize, u32_at(row, 12));
            assert!(free <= at && at + captured as usize <= split.consumed, "a frame outside its record");
            free = at + captured as usize;
            let time_ns = row.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
            frames.push((
                time_ns,
                (start + at) as u64,
                captured,
                u32_at(row, 16),
                [row[20], row[21], row[22], row[23]],
            ));
        }
        for fault in &split.faults {
            assert!(fault.offset <= file.len() as u64);
            match faults.iter_mut().find(|(kind, ..)| *kind == fault.kind as u8) {
                Some((_, _, times)) => *times += fault.times,
                None => faults.push((fault.kind as u8, fault.offset, fault.times)),
            }
        }
        start += split.consumed;
        if last || split.faults.iter().any(|fault| (fault.kind as u8) < FaultKind::Truncated as u8) {
            return (frames, faults);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let step = 1 + usize::from(input.u8());
    let file = input.0;
    let whole = read(file, file.len().max(1));
    assert!(whole.0.len() <= file.len() / 12, "more frames than there is room for");
    let pieces = read(file, step);
    assert!(whole == pieces, "how a file is cut changes what is read: {:?} and {:?}", whole.1, pieces.1);
});

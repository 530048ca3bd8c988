//! All of it: a capture file through the splitter and the engine.
//!
//! Invariant: nothing panics, no more is held than the limits allow, every frame of the file is counted once, rows agree
//! with each other, and where a batch ends changes nothing (see `check`).
//!
//! Input: the two bytes of `check`, then the file.
#![no_main]

use hbids_core::capture::Splitter;
use hbids_fuzz::{check, Frames, Input};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut how = Input(input.bytes(2));
    let split = Splitter::default().push(input.0, true);
    let frames = Frames { data: input.0.to_vec(), rows: split.rows, ..Frames::default() };
    check(&frames, &mut how);
});

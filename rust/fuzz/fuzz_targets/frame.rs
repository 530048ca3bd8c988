//! Link layers, tunnels, IP, fragments: frames of any bytes.
//!
//! Invariant: no frame panics or makes the engine hold more than its limits, every frame is counted once, and where a
//! batch ends changes nothing (see `check`).
//!
//! Input: link type, the two bytes of `check`, then for each frame a pause, a length (16 bits, the highest says that the
//! frame was longer on the wire) and its bytes.
#![no_main]

use hbids_fuzz::{check, Frames, Input};
use libfuzzer_sys::fuzz_target;

const LINK_TYPES: [u16; 16] = [1, 1, 1, 101, 101, 0, 108, 113, 276, 9, 50, 51, 12, 228, 229, 105];

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let link_type = LINK_TYPES[usize::from(input.u8()) % LINK_TYPES.len()];
    let mut how = Input(input.bytes(2));
    let mut frames = Frames::default();
    while !input.is_empty() {
        frames.pause(input.pause_ns());
        let length = input.u16();
        let cut = if length & 0x8000 == 0 { 0 } else { 100 };
        frames.frame(link_type, input.bytes(usize::from(length & 0x7FFF)), cut);
    }
    check(&frames, &mut how);
});

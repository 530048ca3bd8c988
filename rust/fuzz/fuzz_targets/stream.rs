//! TCP reassembly: segments with any flags, sequence numbers, acknowledgements and lengths, on a few connections.
//!
//! Invariant: no order of segments panics or makes the engine hold more than its limits, every packet is counted once,
//! every heartbeat message has one final row, and where a batch ends changes nothing (see `check`).
//!
//! Input: the two bytes of `check`, then for each segment: its `Envelope`; flags; pause; place in the sender's stream and what it acknowledges (16 bits each, signed); length and payload.
#![no_main]

use hbids_fuzz::{check, Envelope, Frames, Input};
use libfuzzer_sys::fuzz_target;

/// First sequence numbers, near their end so that they begin anew.
const INITIAL: u32 = 0xFFFF_FE00;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut how = Input(input.bytes(2));
    let mut frames = Frames::default();
    while !input.is_empty() {
        let head = input.u8();
        let flags = input.u8();
        frames.pause(input.pause_ns());
        let number = |place: u16| INITIAL.wrapping_add_signed(i32::from(place as i16));
        let (seq, ack) = (number(input.u16()), number(input.u16()));
        let length = usize::from(input.u8());
        let payload = input.bytes(length);
        frames.segment(Envelope::of(head), flags, seq, ack, payload);
    }
    check(&frames, &mut how);
});

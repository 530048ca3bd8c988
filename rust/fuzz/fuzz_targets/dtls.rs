//! DTLS: datagrams of any bytes, on a few flows.
//!
//! Invariant: no datagram panics, every packet is counted once, every heartbeat message has one final row or is counted
//! as dropped, and where a batch ends changes nothing (see `check`).
//!
//! Input: the two bytes of `check`, then for each datagram: its `Envelope`; pause; length (16 bits) and bytes.
#![no_main]

use hbids_fuzz::{check, Envelope, Frames, Input};
use libfuzzer_sys::fuzz_target;

const MOST_DATAGRAM_BYTES: u16 = 20_000;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut how = Input(input.bytes(2));
    let mut frames = Frames::default();
    while !input.is_empty() {
        let head = input.u8();
        frames.pause(input.pause_ns());
        let length = input.u16() % MOST_DATAGRAM_BYTES;
        let payload = input.bytes(usize::from(length));
        frames.datagram(Envelope::of(head), payload);
    }
    check(&frames, &mut how);
});

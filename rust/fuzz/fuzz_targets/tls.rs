//! TLS records, hellos, heartbeats, and plain text before them: the streams of both sides of one connection.
//!
//! Invariant: no stream panics, every heartbeat message has one final row or is counted as dropped, payload and padding
//! of a row add up to the bytes seen, and where a batch ends changes nothing (see `check`).
//!
//! Input: the two bytes of `check`, how the connection begins, then for each segment: its `Envelope` (flow 1:
//! it is lost, and has no bytes); pause; length (16 bits) and bytes.
#![no_main]

use hbids_fuzz::{check, Envelope, Frames, Host, Input};
use libfuzzer_sys::fuzz_target;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const LOST: u8 = 0x10;
const MOST_SEGMENT_BYTES: u16 = 20_000;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut how = Input(input.bytes(2));
    let mut frames = Frames::default();
    let mut next = [1_000, 2_000];
    if input.u8() & 1 == 0 {
        frames.segment(Envelope::of(0), SYN, next[0] - 1, 0, &[]);
        frames.segment(Envelope::of(1), SYN | ACK, next[1] - 1, next[0], &[]);
        frames.segment(Envelope::of(0), ACK, next[0], next[1], &[]);
    }
    while !input.is_empty() {
        let head = input.u8();
        frames.pause(input.pause_ns());
        let length = input.u16() % MOST_SEGMENT_BYTES;
        let how = Envelope::of(head & 0x0F);
        let (from, to) = if how.from == Host::Client { (0, 1) } else { (1, 0) };
        if head & LOST != 0 {
            next[from] += u32::from(length);
            continue;
        }
        let payload = input.bytes(usize::from(length));
        frames.segment(how, ACK, next[from], next[to], payload);
        if !how.is_wrong && !how.is_low {
            next[from] += payload.len() as u32; // else a decoy in the place of what follows
        }
    }
    check(&frames, &mut how);
});

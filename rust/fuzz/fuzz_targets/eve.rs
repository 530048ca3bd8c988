//! The sieve of EVE lines: lines of any bytes.
//!
//! Invariant: nothing panics; sifting stops at whole lines, in order, and goes on; each flow that is read has a row, and
//! each session that is read waits, is told of or passed over, once; no more wait than may; and where a block of lines
//! ends changes nothing.
//!
//! Input: which flow is known, where blocks end, then the lines.
#![no_main]

use hbids_eve::{Counts, Session, Sieve, Stop, FLOW_ROW_BYTES};
use hbids_fuzz::Input;
use libfuzzer_sys::fuzz_target;

const MOST_SESSIONS: usize = 4;

/// What a sieve says of some lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    parsed: Vec<Vec<u8>>,
    told: Vec<(u64, i64, Vec<u8>)>,
    flows: Vec<u8>,
    counts: Counts,
}

fn is_whole(lines: &[u8], start: usize, end: usize) -> bool {
    let begins = start == 0 || lines[start - 1] == b'\n';
    begins && start < end && (end == lines.len() || lines[end - 1] == b'\n')
}

/// Read `blocks` one after another; a second is a moment by itself.
fn read(blocks: &[&[u8]], known: u64) -> Said {
    let mut sieve = Sieve::new(MOST_SESSIONS, 1 << 12, true);
    sieve.know(known);
    let (mut said, mut now_ns) = (Said::default(), 0);
    for (place, block) in (0..).zip(blocks) {
        let mut at = 0;
        loop {
            let (start, end) = match sieve.sift(block, at, place, now_ns) {
                Stop::End => break,
                Stop::Event(start, end) => {
                    said.parsed.push(block[start..end].to_vec());
                    (start, end)
                }
                Stop::Second(start, end) => {
                    now_ns += 1;
                    sieve.tell_since(now_ns - 3);
                    assert!(is_whole(block, start, end));
                    (start, start)
                }
            };
            assert!(at <= start && start <= end && end <= block.len(), "sifting went back");
            at = end;
        }
    }
    sieve.tell_since(i64::MAX);
    assert!(sieve.oldest_place(0).is_none(), "something waits still");
    said.told =
        sieve.told().into_iter().map(|Session { flow_id, time_ns, line, .. }| (flow_id, time_ns, line)).collect();
    said.flows = sieve.flows();
    said.counts = sieve.counts();
    said
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (known, size) = (u64::from(input.u8()), 1 + usize::from(input.u8()));
    let lines = input.0;
    let whole = read(&[lines], known);
    assert_eq!(whole.flows.len() as u64, whole.counts.flows * FLOW_ROW_BYTES as u64, "a row for each flow");
    assert!(whole.told.len() as u64 <= whole.counts.tls, "more sessions told of than read");
    assert_eq!(whole.counts.passed, 0, "all are told of");

    let mut blocks = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        let least = lines.len().min(start + size);
        let end = lines[least..].iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| least + at + 1);
        blocks.push(&lines[start..end]);
        start = end;
    }
    assert_eq!(whole, read(&blocks, known), "where blocks end changes what is said");
});

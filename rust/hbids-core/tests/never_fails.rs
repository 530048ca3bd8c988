//! Whatever the frames, the engine neither panics nor holds more than it may, and every packet is counted. What the
//! facts say is tested from Python, on both engines at once.

use hbids_core::{Engine, Limits, FRAME_ROW_BYTES};

const HEARTBLEED: &[u8] =
    &[0x18, 0x03, 0x02, 0x00, 0x03, 0x01, 0x40, 0x00, 0x18, 0x03, 0x02, 0x40, 0x00, 0x02, 0x40, 0x00];

/// A small generator (xorshift64*), so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

fn limits() -> Limits {
    Limits {
        flows: 8,
        opening_timeout_ns: 1_000_000_000,
        plain_timeout_ns: 2_000_000_000,
        tls_timeout_ns: 4_000_000_000,
        closed_timeout_ns: 500_000_000,
        checkpoint_ns: 3_000_000_000,
        out_of_order_bytes: 8_192,
        out_of_order_bytes_total: 16_384,
        hole_acked_wait_ns: 100_000_000,
        hole_wait_ns: 1_000_000_000,
        hello_bytes: 2_048,
        plain_turn_bytes: 64,
        pending_requests: 4,
        pending_wait_ns: 1_000_000_000,
        answer_wait_ns: 1_000_000_000,
        held_heartbeats: 2,
        search_bytes: 4_096,
        layers: 12,
        fragments: 4,
        fragment_bytes: 8_192,
        fragment_timeout_ns: 1_000_000_000,
        vxlan_ports: vec![4789],
        geneve_ports: vec![6081],
        gtp_ports: vec![2152],
        teredo_ports: vec![3544],
    }
}

/// An Ethernet frame with a TCP segment between two of a few endpoints; with some luck it makes sense.
fn frame(dice: &mut Dice) -> Vec<u8> {
    let mut payload = match dice.below(4) {
        0 => Vec::new(),
        1 => HEARTBLEED.to_vec(),
        2 => [&[0x16, 0x03, 0x01, 0x00, 0x2A, 0x01, 0x00, 0x00, 0x26, 0x03, 0x03][..], &[7; 36]].concat(),
        _ => (0..dice.below(1_400)).map(|_| dice.byte()).collect(),
    };
    payload.truncate(1_400);
    let total_length = u16::try_from(40 + payload.len()).unwrap_or(u16::MAX);
    let (client, server) = (1 + dice.byte() % 4, 100 + dice.byte() % 2);
    let (src, dst) = if dice.below(2) == 0 { (client, server) } else { (server, client) };
    let flags = [0x02, 0x12, 0x10, 0x18, 0x11, 0x04][usize::try_from(dice.below(6)).unwrap_or(0)];
    let mut frame = vec![0; 12];
    frame.extend_from_slice(&[0x08, 0x00, 0x45, 0x00]);
    frame.extend_from_slice(&total_length.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
    frame.extend_from_slice(&[0x10, src, 0x10, dst]);
    frame.extend_from_slice(&u32::try_from(dice.below(40) * 700).unwrap_or(0).to_be_bytes());
    frame.extend_from_slice(&u32::try_from(dice.below(40) * 700).unwrap_or(0).to_be_bytes());
    frame.extend_from_slice(&[0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
    frame.extend_from_slice(&payload);
    if dice.below(8) == 0 {
        let at = usize::try_from(dice.below(frame.len() as u64)).unwrap_or(0);
        frame[at] = dice.byte();
    }
    if dice.below(8) == 0 {
        frame.truncate(usize::try_from(dice.below(frame.len() as u64)).unwrap_or(0));
    }
    frame
}

fn row(time_ns: i64, offset: usize, length: usize, link_type: u16) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    [&time_ns.to_le_bytes()[..], &number(offset), &number(length), &number(length), &link_type.to_le_bytes(), &[0, 0]]
        .concat()
}

fn batch(dice: &mut Dice, frames: usize, time_ns: &mut i64) -> (Vec<u8>, Vec<u8>) {
    let (mut data, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..frames {
        let frame = frame(dice);
        *time_ns += i64::try_from(dice.below(50_000_000)).unwrap_or(0);
        rows.extend(row(*time_ns, data.len(), frame.len(), 1));
        data.extend(frame);
    }
    (data, rows)
}

#[test]
fn frames_that_nearly_make_sense_are_counted_and_survived() {
    for seed in 1..=200 {
        let mut dice = Dice(seed);
        let mut engine = Engine::new(limits());
        let mut time_ns = 1_700_000_000_000_000_000;
        let mut fed = 0;
        for _ in 0..10 {
            let (data, rows) = batch(&mut dice, 100, &mut time_ns);
            engine.feed(&data, &rows);
            fed += 100;
        }
        while engine.has_flows() {
            engine.finish(3);
        }
        assert_eq!(engine.counters().packets, fed, "seed {seed}");
    }
}

#[test]
fn rows_that_point_outside_the_data_are_cut_to_what_is_there() {
    let mut engine = Engine::new(limits());
    let rows = [row(0, 0, usize::MAX, 1), row(i64::MAX, 1_000, 5, 101), row(i64::MIN, 3, 0, 0xFFFF)].concat();
    engine.feed(&[0; 10], &rows);
    assert_eq!(engine.counters().packets, 3);
    assert_eq!(engine.counters().frame_truncated, 2);
    assert_eq!(engine.counters().link_type_unsupported, 1);
}

#[test]
fn half_a_row_is_no_frame() {
    let mut engine = Engine::new(limits());
    engine.feed(&[], &[0; FRAME_ROW_BYTES + FRAME_ROW_BYTES / 2]);
    assert_eq!(engine.counters().packets, 1);
}

#[test]
fn after_a_recovery_flows_are_gone_and_totals_are_kept() {
    let mut dice = Dice(7);
    let mut engine = Engine::new(limits());
    let mut time_ns = 0;
    let (data, rows) = batch(&mut dice, 50, &mut time_ns);
    engine.feed(&data, &rows);
    engine.recover();
    assert!(!engine.has_flows());
    assert_eq!(engine.counters().packets, 50);
    engine.feed(&data, &rows);
    assert_eq!(engine.counters().packets, 100);
}

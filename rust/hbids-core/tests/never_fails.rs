//! Whatever the frames, the engine neither panics nor holds more than it may, and every packet is counted. What the
//! facts say is tested from Python, on both engines at once.

mod small_limits;

use hbids_core::{Engine, FRAME_ROW_BYTES};
use small_limits::small_limits;

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

/// A packet of OpenVPN's control channel; with some luck it makes sense.
fn openvpn(dice: &mut Dice, payload: &[u8]) -> Vec<u8> {
    let opcode = [4, 4, 4, 4, 7, 8, 5, 3, 6, 11][usize::try_from(dice.below(10)).unwrap_or(0)];
    let key_id = u8::from(dice.below(6) == 0 || opcode == 3);
    let session_id = [if dice.below(2) == 0 { b'a' } else { b'b' }; 8];
    let mut packet = vec![opcode << 3 | key_id];
    packet.extend_from_slice(&session_id);
    let acks = [0, 0, 1, 3, 9][usize::try_from(dice.below(5)).unwrap_or(0)];
    packet.push(acks);
    for _ in 0..acks {
        packet.extend_from_slice(&[0, 0, 0, dice.byte() % 20]);
    }
    if acks > 0 {
        packet.extend_from_slice(&[if dice.below(2) == 0 { b'a' } else { b'b' }; 8]);
    }
    let packet_id = if matches!(opcode, 3 | 7 | 8) { 0 } else { dice.byte() % 20 };
    packet.extend_from_slice(&[0, 0, 0, packet_id]);
    packet.extend_from_slice(if packet_id == 0 { &[] } else { payload });
    packet
}

/// An Ethernet frame with a TCP segment or a UDP datagram between two of a few endpoints; with some luck it makes sense.
fn frame(dice: &mut Dice) -> Vec<u8> {
    let mut payload = match dice.below(4) {
        0 => Vec::new(),
        1 => HEARTBLEED.to_vec(),
        2 => [&[0x16, 0x03, 0x01, 0x00, 0x2A, 0x01, 0x00, 0x00, 0x26, 0x03, 0x03][..], &[7; 36]].concat(),
        _ => (0..dice.below(1_400)).map(|_| dice.byte()).collect(),
    };
    payload.truncate(1_200);
    let is_udp = dice.below(3) == 0;
    if dice.below(2) == 0 {
        payload = openvpn(dice, &payload);
        if !is_udp {
            let length = u16::try_from(payload.len()).unwrap_or(0).to_be_bytes();
            payload.splice(0..0, length);
        }
    }
    let header_length = if is_udp { 28 } else { 40 };
    let total_length = u16::try_from(header_length + payload.len()).unwrap_or(u16::MAX);
    let (client, server) = (1 + dice.byte() % 4, 100 + dice.byte() % 2);
    let (src, dst) = if dice.below(2) == 0 { (client, server) } else { (server, client) };
    let flags = [0x02, 0x12, 0x10, 0x18, 0x11, 0x04][usize::try_from(dice.below(6)).unwrap_or(0)];
    let mut frame = vec![0; 12];
    frame.extend_from_slice(&[0x08, 0x00, 0x45, 0x00]);
    frame.extend_from_slice(&total_length.to_be_bytes());
    let protocol = if is_udp { 17 } else { 6 };
    frame.extend_from_slice(&[0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
    frame.extend_from_slice(&[0x10, src, 0x10, dst]);
    if is_udp {
        frame.extend_from_slice(&[0; 4]);
    } else {
        frame.extend_from_slice(&u32::try_from(dice.below(40) * 700).unwrap_or(0).to_be_bytes());
        frame.extend_from_slice(&u32::try_from(dice.below(40) * 700).unwrap_or(0).to_be_bytes());
        frame.extend_from_slice(&[0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
    }
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

/// A piece of TLS in EAP, over EAPOL or RADIUS between a few endpoints; with some luck it makes sense.
fn eap_frame(dice: &mut Dice) -> Vec<u8> {
    let is_request = dice.below(2) == 0;
    let mut eap = vec![2 - u8::from(is_request), dice.byte() % 8, 0, 0, [1, 3, 13, 25, 55][dice.byte() as usize % 5]];
    eap.push([0, 0x20, 0x80, 0xC0, 0x90][dice.byte() as usize % 5]);
    eap.extend_from_slice([HEARTBLEED, &[0x16, 0x03, 0x01, 0x00, 0x2A, 0x01], &[]][dice.byte() as usize % 3]);
    eap.extend((0..dice.below(600)).map(|_| dice.byte()));
    let length = u16::try_from(eap.len()).unwrap_or(0).to_be_bytes();
    eap[2..4].copy_from_slice(&length);
    let (client, server) = (1 + dice.byte() % 4, 100 + dice.byte() % 2);
    let (src, dst) = if is_request { (server, client) } else { (client, server) };
    let mut frame = if dice.below(2) == 0 {
        let target = if dice.below(2) == 0 { [1, 0x80, 0xC2, 0, 0, 3] } else { [2, 0, 0, 0, 0, dst] };
        [&target[..], &[2, 0, 0, 0, 0, src, 0x88, 0x8E, 2, 0], &length, &eap].concat()
    } else {
        let mut radius = vec![if is_request { 11 } else { 1 }, dice.byte() % 4, 0, 0];
        radius.extend_from_slice(&[dice.byte(); 16]);
        for part in eap.chunks(253) {
            radius.extend_from_slice(&[79, 2 + u8::try_from(part.len()).unwrap_or(0)]);
            radius.extend_from_slice(part);
        }
        for kind in [24, 31] {
            if dice.below(2) == 0 {
                radius.extend_from_slice(&[kind, 3, dice.byte() % 4]);
            }
        }
        let length = u16::try_from(radius.len()).unwrap_or(0);
        radius[2..4].copy_from_slice(&length.to_be_bytes());
        let ports = if is_request { [0x07, 0x14, 0x10, dst] } else { [0x10, src, 0x07, 0x14] };
        let mut frame = vec![0; 12];
        frame.extend_from_slice(&[0x08, 0x00, 0x45, 0x00]);
        frame.extend_from_slice(&(28 + length).to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
        frame.extend_from_slice(&ports);
        frame.extend_from_slice(&(8 + length).to_be_bytes());
        frame.extend_from_slice(&[0, 0]);
        [frame, radius].concat()
    };
    if dice.below(8) == 0 {
        let at = usize::try_from(dice.below(frame.len() as u64)).unwrap_or(0);
        frame[at] = dice.byte();
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
        let frame = if dice.below(3) == 0 { eap_frame(dice) } else { frame(dice) };
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
        let mut engine = Engine::new(small_limits());
        let mut time_ns = 1_700_000_000_000_000_000;
        let mut fed = 0;
        for _ in 0..10 {
            let (data, rows) = batch(&mut dice, 100, &mut time_ns);
            engine.feed(&data, &rows, 0);
            fed += 100;
            let (held, limits) = (engine.held(), small_limits());
            assert!(held.out_of_order_bytes <= limits.out_of_order_bytes_total, "seed {seed}: {held:?}");
            assert!(held.most_out_of_order_bytes <= limits.out_of_order_bytes, "seed {seed}: {held:?}");
            assert!(held.state_bytes <= limits.state_bytes_total, "seed {seed}: {held:?}");
        }
        while engine.has_flows() {
            engine.finish(3);
        }
        assert_eq!(engine.counters().packets, fed, "seed {seed}");
    }
}

#[test]
fn rows_that_point_outside_the_data_are_cut_to_what_is_there() {
    let mut engine = Engine::new(small_limits());
    let rows = [row(0, 0, usize::MAX, 1), row(i64::MAX, 1_000, 5, 101), row(i64::MIN, 3, 0, 0xFFFF)].concat();
    engine.feed(&[0; 10], &rows, 0);
    assert_eq!(engine.counters().packets, 3);
    assert_eq!(engine.counters().frame_truncated, 2);
    assert_eq!(engine.counters().link_type_unsupported, 1);
}

#[test]
fn half_a_row_is_no_frame() {
    let mut engine = Engine::new(small_limits());
    engine.feed(&[], &[0; FRAME_ROW_BYTES + FRAME_ROW_BYTES / 2], 0);
    assert_eq!(engine.counters().packets, 1);
}

#[test]
fn after_a_recovery_flows_are_gone_and_totals_are_kept() {
    let mut dice = Dice(7);
    let mut engine = Engine::new(small_limits());
    let mut time_ns = 0;
    let (data, rows) = batch(&mut dice, 50, &mut time_ns);
    engine.feed(&data, &rows, 0);
    engine.recover();
    assert!(!engine.has_flows());
    assert_eq!(engine.counters().packets, 50);
    engine.feed(&data, &rows, 0);
    assert_eq!(engine.counters().packets, 100);
}

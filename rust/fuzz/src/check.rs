//! What must hold whatever the frames are.

use std::collections::BTreeMap;
use std::path::Path;

use hbids_core::{Counters, Engine, Facts, Held, Limits, FRAME_ROW_BYTES};

use crate::frames::Frames;
use crate::input::Input;
use crate::rows::{
    i32_at, rows, u64_at, CHECKPOINT, FLOW_BYTES, FLOW_BYTES_TO_CLIENT, FLOW_BYTES_TO_SERVER, FLOW_END_REASON,
    FLOW_FLOW_ID, FLOW_PACKETS_TO_CLIENT, FLOW_PACKETS_TO_SERVER, HEARTBEAT_ANSWERS_MESSAGE, HEARTBEAT_BYTES,
    HEARTBEAT_BYTES_SEEN, HEARTBEAT_CLAIMED_LENGTH, HEARTBEAT_FLOW_ID, HEARTBEAT_IS_FINAL, HEARTBEAT_MESSAGE_ID,
    HEARTBEAT_PADDING_PRESENT, HEARTBEAT_PAYLOAD_PRESENT, SESSION_BYTES, SESSION_FLOW_ID,
};
use crate::small_limits::small_limits;

/// Flows ended in one step of `finish`.
const FINISH_STEP_FLOWS: usize = 3;

/// Run the frames through an engine with small limits, at once and in several calls:
///
/// - nothing panics, and after each call no more is held than the limits allow;
/// - where the calls begin changes neither rows nor counters;
/// - every packet is in a flow's row or in a counter, every flow has one last row, every message one final row or a
///   counter, and what rows say of one message agrees.
///
/// How the frames are spread over calls, and which limits are wide, the next two bytes of the input say.
///
/// With `HBIDS_FUZZ_CAPTURES` naming a folder, the frames are written there as a capture file.
pub fn check(frames: &Frames, input: &mut Input<'_>) {
    if let Some(folder) = std::env::var_os("HBIDS_FUZZ_CAPTURES") {
        let path = Path::new(&folder).join(format!("{:016x}.pcap", fingerprint(&frames.data)));
        std::fs::write(path, frames.pcap()).expect("the folder for captures can be written to");
        return;
    }
    let limits = limits(input.u8());
    let ends = call_ends(&frames.rows, input);
    let (facts, counters) = run(&limits, frames, &[frames.rows.len()]);
    check_rows(&facts, &counters);
    if ends.len() > 1 {
        let (again, counted) = run(&limits, frames, &ends);
        assert!(facts.heartbeats == again.heartbeats, "heartbeats depend on where a batch ends");
        assert!(facts.sessions == again.sessions, "sessions depend on where a batch ends");
        assert!(facts.flows == again.flows, "flows depend on where a batch ends");
        assert_eq!(counters.list(), counted.list(), "counters depend on where a batch ends");
    }
}

/// A name for content (FNV-1a).
fn fingerprint(data: &[u8]) -> u64 {
    data.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Small limits hide what lies behind them: each bit makes some of them wide.
fn limits(wide: u8) -> Limits {
    let mut limits = small_limits();
    if wide & 1 != 0 {
        limits.flows = 1_000;
    }
    if wide & 2 != 0 {
        limits.out_of_order_bytes = 1 << 20;
        limits.out_of_order_bytes_total = 1 << 20;
    }
    if wide & 4 != 0 {
        limits.hello_bytes = 65_536;
        limits.search_bytes = 65_536;
        limits.plain_turn_bytes = 4_096;
    }
    if wide & 8 != 0 {
        limits.pending_requests = 64;
        limits.held_heartbeats = 16;
        limits.pending_wait_ns = 60_000_000_000;
    }
    if wide & 32 != 0 {
        limits.state_bytes_total = 1 << 20;
    }
    if wide & 16 != 0 {
        limits.fragments = 1_000;
        limits.fragment_bytes = 1 << 20;
    }
    limits
}

/// Where in the rows each call ends: the bits of a byte say after which of eight frames, over and over.
fn call_ends(rows: &[u8], input: &mut Input<'_>) -> Vec<usize> {
    let (bits, frames) = (input.u8(), rows.len() / FRAME_ROW_BYTES);
    (1..=frames).filter(|end| *end == frames || bits >> (end % 8) & 1 == 1).map(|end| end * FRAME_ROW_BYTES).collect()
}

fn run(limits: &Limits, frames: &Frames, ends: &[usize]) -> (Facts, Counters) {
    let mut engine = Engine::new(limits.clone());
    let mut facts = Facts::default();
    let mut start = 0;
    for end in ends {
        add(&mut facts, engine.feed(&frames.data, &frames.rows[start..*end], 0));
        start = *end;
        check_held(limits, &engine);
    }
    while {
        add(&mut facts, engine.finish(FINISH_STEP_FLOWS));
        engine.has_flows()
    } {}
    let held = engine.held();
    assert_eq!(held, Held::default(), "something outlives the end");
    (facts, engine.counters().clone())
}

fn check_held(limits: &Limits, engine: &Engine) {
    let held = engine.held();
    assert!(held.flows <= limits.flows, "{} flows", held.flows);
    assert!(held.out_of_order_bytes <= limits.out_of_order_bytes_total, "{} out of order", held.out_of_order_bytes);
    assert!(held.most_out_of_order_bytes <= limits.out_of_order_bytes, "{held:?}");
    assert!(held.state_bytes <= limits.state_bytes_total, "{} bytes of state", held.state_bytes);
    assert!(held.eap_clues <= limits.eap_clues, "{} clues to conversations", held.eap_clues);
    assert!(held.fragments <= limits.fragments, "{} packets in fragments", held.fragments);
    assert!(held.fragment_bytes <= limits.fragment_bytes, "{} fragment bytes", held.fragment_bytes);
}

fn add(facts: &mut Facts, more: Facts) {
    facts.heartbeats.extend(more.heartbeats);
    facts.sessions.extend(more.sessions);
    facts.flows.extend(more.flows);
}

/// What the rows say of one flow.
#[derive(Default)]
struct FlowTotals {
    last_rows: u32,
    packets: u64,
    bytes: u64,
}

fn check_rows(facts: &Facts, counters: &Counters) {
    let flows = check_flows(facts, counters);
    check_messages(facts, counters, &flows);
    for row in rows(&facts.sessions, SESSION_BYTES) {
        assert!(flows.contains_key(&u64_at(row, SESSION_FLOW_ID)), "a session of no flow");
    }
}

fn check_flows(facts: &Facts, counters: &Counters) -> BTreeMap<u64, FlowTotals> {
    let mut flows: BTreeMap<u64, FlowTotals> = BTreeMap::new();
    for row in rows(&facts.flows, FLOW_BYTES) {
        let flow = flows.entry(u64_at(row, FLOW_FLOW_ID)).or_default();
        assert_eq!(flow.last_rows, 0, "nothing follows a flow's last row");
        let packets = u64_at(row, FLOW_PACKETS_TO_SERVER) + u64_at(row, FLOW_PACKETS_TO_CLIENT);
        let bytes = u64_at(row, FLOW_BYTES_TO_SERVER) + u64_at(row, FLOW_BYTES_TO_CLIENT);
        assert!(packets >= flow.packets && bytes >= flow.bytes, "totals never shrink");
        (flow.packets, flow.bytes) = (packets, bytes);
        flow.last_rows = u32::from(row[FLOW_END_REASON] != CHECKPOINT);
    }
    assert!(flows.values().all(|flow| flow.last_rows == 1), "a flow without a last row");
    assert!(flows.keys().copied().eq(1..=counters.flows), "flows are numbered in a row");

    let in_flows: u64 = flows.values().map(|flow| flow.packets).sum();
    let unread = counters.frame_truncated
        + counters.layers_exceeded
        + counters.link_type_unsupported
        + counters.not_ip
        + counters.not_tcp
        + counters.ip_malformed
        + counters.tcp_malformed
        + counters.udp_malformed
        + counters.tunnel_unreadable
        + counters.eap_malformed;
    // A frame that makes a packet whole goes on as that packet, perhaps as a fragment of another.
    let held = counters.fragments - counters.packets_reassembled;
    assert_eq!(in_flows + unread + held, counters.packets, "packets vanished, or count twice");
    flows
}

fn check_messages(facts: &Facts, counters: &Counters, flows: &BTreeMap<u64, FlowTotals>) {
    let mut final_rows: BTreeMap<u64, u32> = BTreeMap::new();
    for row in rows(&facts.heartbeats, HEARTBEAT_BYTES) {
        let message = u64_at(row, HEARTBEAT_MESSAGE_ID);
        let finals = final_rows.entry(message).or_default();
        assert_eq!(*finals, 0, "nothing follows a message's final row");
        *finals += u32::from(row[HEARTBEAT_IS_FINAL]);
        assert!(flows.contains_key(&u64_at(row, HEARTBEAT_FLOW_ID)), "a heartbeat of no flow");
        assert!(u64_at(row, HEARTBEAT_ANSWERS_MESSAGE) < message, "an answer before its request");
        let claimed = i32_at(row, HEARTBEAT_CLAIMED_LENGTH);
        if claimed >= 0 {
            let (payload, padding) = (i32_at(row, HEARTBEAT_PAYLOAD_PRESENT), i32_at(row, HEARTBEAT_PADDING_PRESENT));
            assert!(0 <= payload && payload <= claimed && padding >= 0, "{payload} and {padding} of {claimed}");
            let seen = u64_at(row, HEARTBEAT_BYTES_SEEN);
            // An answer whose beginning was lost has its request's claim, and perhaps not a byte.
            assert_eq!(i64::from(payload) + i64::from(padding), i64::try_from(seen.saturating_sub(3)).unwrap_or(0));
        }
    }
    let dropped = counters.heartbeats_without_tls + counters.held_heartbeats_dropped;
    let last_message = final_rows.keys().last().copied().unwrap_or(0);
    let told = final_rows.values().filter(|finals| **finals == 1).count() as u64;
    assert!(
        told + dropped >= last_message,
        "messages without a final row: {told} of {last_message}, {dropped} dropped"
    );
}

//! `flow` events of TLS over TCP, read off their bytes.

use memchr::memmem;

use crate::scan::{is_fraction_and_offset, time_ns, Cursor, TIME_BYTES};

/// Of a row of `hbids.eve.sieve.SIFTED_DTYPE`.
pub const FLOW_ROW_BYTES: usize = 91;

const NO_VLAN: u16 = 0xFFFF;
const MOST_VLAN: u16 = 4_095;
const COUNT_DIGITS: usize = 15;

/// Of any event as Suricata writes it.
pub(crate) struct Head<'a> {
    /// Its fraction and offset are right; whether its seconds are, is to be seen.
    pub(crate) time: &'a [u8; TIME_BYTES],
    pub(crate) flow_id: u64,
}

/// The head of an event; the cursor stands behind it.
pub(crate) fn head<'a>(line: &mut Cursor<'a>) -> Option<Head<'a>> {
    line.eat(b"{\"timestamp\":\"")?;
    let time = line.time()?;
    line.eat(b",\"flow_id\":")?;
    let flow_id = line.number(18)?;
    line.eat(b",")?;
    is_fraction_and_offset(time).then_some(Head { time, flow_id })
}

/// Why a row was written; the numbers are those of `hbids.facts.EndReason`.
#[derive(Clone, Copy)]
#[repr(u8)]
enum EndReason {
    Fin = 2,
    Rst = 3,
    Timeout = 4,
    Reused = 5,
    CaptureEnd = 7,
}

/// A `flow` event: its head, and its row.
pub(crate) fn flow(line: &[u8]) -> Option<(Head<'_>, [u8; FLOW_ROW_BYTES])> {
    let mut line = Cursor(line);
    let head = head(&mut line)?;
    if line.try_eat(b"\"parent_id\":") {
        line.number(18)?;
        line.eat(b",")?;
    }
    optional_text(&mut line, b"\"in_iface\":\"")?;
    line.eat(b"\"event_type\":\"flow\",")?;
    let vlan = vlan(&mut line)?;
    line.eat(b"\"src_ip\":\"")?;
    let client = line.address()?;
    line.eat(b",\"src_port\":")?;
    let client_port = line.short()?;
    line.eat(b",\"dest_ip\":\"")?;
    let server = line.address()?;
    line.eat(b",\"dest_port\":")?;
    let server_port = line.short()?;
    line.eat(b",\"proto\":\"TCP\",")?;
    let _ = line.try_eat(b"\"ip_v\":4,") || line.try_eat(b"\"ip_v\":6,");
    optional_text(&mut line, b"\"pkt_src\":\"")?;
    optional_text(&mut line, b"\"community_id\":\"")?;
    line.eat(b"\"app_proto\":\"tls\",")?;
    optional_text(&mut line, b"\"app_proto_ts\":\"")?;
    optional_text(&mut line, b"\"app_proto_tc\":\"")?;
    optional_text(&mut line, b"\"app_proto_orig\":\"")?;
    optional_text(&mut line, b"\"app_proto_expected\":\"")?;
    line.eat(b"\"flow\":{\"pkts_toserver\":")?;
    let mut counts = [line.number(COUNT_DIGITS)?, 0, 0, 0];
    for (count, name) in counts[1..].iter_mut().zip(["pkts_toclient", "bytes_toserver", "bytes_toclient"]) {
        line.eat(b",\"")?;
        line.eat(name.as_bytes())?;
        line.eat(b"\":")?;
        *count = line.number(COUNT_DIGITS)?;
    }
    line.eat(b",\"start\":\"")?;
    let start_ns = time_ns(line.time()?).filter(|time_ns| *time_ns > 0)?;
    line.eat(b",\"end\":\"")?;
    let end_ns = time_ns(line.time()?).filter(|time_ns| *time_ns > 0)?.max(start_ns);
    line.eat(b",\"age\":")?;
    line.number(18)?;
    line.eat(b",\"state\":\"")?;
    let state = line.text()?;
    line.eat(b",\"reason\":\"")?;
    let reason = line.text()?;
    let end_reason = match (state, reason) {
        (b"closed", _) if memmem::find(line.0, b"\"rst\":true").is_some() => EndReason::Rst,
        (b"closed", _) => EndReason::Fin,
        (_, b"timeout") => EndReason::Timeout,
        (_, b"tcp_reuse") => EndReason::Reused,
        _ => EndReason::CaptureEnd,
    };

    let mut row = Row { bytes: [0; FLOW_ROW_BYTES], written: 0 };
    row.write(&start_ns.to_le_bytes());
    row.write(&end_ns.to_le_bytes());
    row.write(&client);
    row.write(&server);
    for number in [client_port, server_port, vlan[0], vlan[1], vlan[2]] {
        row.write(&number.to_le_bytes());
    }
    row.write(&[end_reason as u8]);
    for count in counts {
        row.write(&count.to_le_bytes());
    }
    Some((head, row.bytes))
}

/// The row so far.
struct Row {
    bytes: [u8; FLOW_ROW_BYTES],
    written: usize,
}

impl Row {
    fn write(&mut self, value: &[u8]) {
        let end = self.written + value.len();
        self.bytes[self.written..end].copy_from_slice(value);
        self.written = end;
    }
}

/// A key with a text, and the comma behind it, if the key is there.
fn optional_text(line: &mut Cursor<'_>, key: &[u8]) -> Option<()> {
    if line.try_eat(key) {
        line.text()?;
        line.eat(b",")?;
    }
    Some(())
}

/// Up to three layers, outermost first, if there are any.
fn vlan(line: &mut Cursor<'_>) -> Option<[u16; 3]> {
    let mut layers = [NO_VLAN; 3];
    if !line.try_eat(b"\"vlan\":[") {
        return Some(layers);
    }
    for (number, layer) in layers.iter_mut().enumerate() {
        if number > 0 && !line.try_eat(b",") {
            break;
        }
        *layer = line.short().filter(|vlan| *vlan <= MOST_VLAN)?;
    }
    line.eat(b"],")?;
    Some(layers)
}

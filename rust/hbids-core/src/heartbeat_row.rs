//! Rows of heartbeats: see `hbids/decode/reference/heartbeat_row.py`.

use crate::flow::Flow;
use crate::heartbeat_message::{Message, ABSENT, HEADER_BYTES};
use crate::rows::Table;
use crate::run::Run;

/// What a row that is held back takes in memory.
const HELD_ROW_BYTES: u64 = 256;

/// Rows held back until the flow is known to be TLS.
#[derive(Default)]
pub(crate) struct HeldRows {
    rows: Table,
    count: u64,
}

impl HeldRows {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        self.count * HELD_ROW_BYTES
    }

    fn keep(&mut self, run: &mut Run, mut row: Table) {
        if self.count < run.limits.held_heartbeats {
            self.rows.append(&mut row);
            self.count += 1;
        } else {
            run.counters.held_heartbeats_dropped += 1;
        }
    }

    fn release(&mut self, run: &mut Run) {
        if self.count > 0 {
            run.rows.heartbeats.append(&mut self.rows);
            self.count = 0;
        }
    }
}

impl Flow {
    /// Write a row, or hold it back until the flow is known to be TLS.
    pub(crate) fn emit_heartbeat(&mut self, run: &mut Run, side: usize, message: &Message, is_final: bool) {
        let is_tls = self.is_tls();
        let mut row = Table::default();
        let table = if is_tls { &mut run.rows.heartbeats } else { &mut row };
        let (mut payload, mut padding) = (ABSENT, ABSENT);
        if message.claimed_length != ABSENT {
            let carried = message.bytes_seen.saturating_sub(u64::from(HEADER_BYTES));
            let carried = i32::try_from(carried).unwrap_or(i32::MAX);
            payload = message.claimed_length.min(carried);
            padding = carried - payload;
        }
        table.i64(message.time_ns);
        table.i64(message.end_time_ns);
        table.u64(message.message_id);
        table.u64(self.flow_id);
        self.put_endpoints(table);
        table.u8(self.transport());
        table.u8(if self.client() == side { 1 } else { 2 });
        table.u8(message.protection as u8);
        table.u8(message.kind as u8);
        table.u8(message.phase);
        table.flag(is_final);
        table.flag(message.gap);
        table.flag(self.hello_may_be_missed);
        table.i16(message.message_type);
        table.u16(message.record_version);
        table.u32(u32::from(message.record_length));
        table.u64(message.bytes_seen);
        table.u32(message.records);
        table.i32(message.claimed_length);
        table.i32(payload);
        table.i32(padding);
        table.u64(message.request.message_id);
        table.i32(message.request.record_length);
        table.i32(message.request.claimed_length);
        table.u16(self.cipher_suite);
        table.u16(self.tls_version);
        table.u8(self.encrypt_then_mac);
        table.i16(self.heartbeat_accepted);
        self.put_so_far(run.packet_number, table);
        table.end_row();
        if is_tls {
            return;
        }
        if let Some(heartbeats) = self.heartbeats.as_mut() {
            heartbeats.held.keep(run, row);
        }
    }

    /// The flow may be known to be TLS now.
    pub(crate) fn release_held(&mut self, run: &mut Run) {
        let is_tls = self.is_tls();
        if let Some(heartbeats) = self.heartbeats.as_mut().filter(|_| is_tls) {
            heartbeats.held.release(run);
        }
    }
}

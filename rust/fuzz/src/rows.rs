//! The columns of packed rows that the checks look at; tests/repository/test_fuzz.py holds them to hbids/facts.py.

pub const HEARTBEAT_BYTES: usize = 186;
pub const HEARTBEAT_MESSAGE_ID: usize = 16;
pub const HEARTBEAT_FLOW_ID: usize = 24;
pub const HEARTBEAT_IS_FINAL: usize = 80;
pub const HEARTBEAT_BYTES_SEEN: usize = 91;
pub const HEARTBEAT_CLAIMED_LENGTH: usize = 103;
pub const HEARTBEAT_PAYLOAD_PRESENT: usize = 107;
pub const HEARTBEAT_PADDING_PRESENT: usize = 111;
pub const HEARTBEAT_ANSWERS_MESSAGE: usize = 115;

pub const SESSION_BYTES: usize = 597;
pub const SESSION_FLOW_ID: usize = 8;

pub const FLOW_BYTES: usize = 289;
pub const FLOW_FLOW_ID: usize = 0;
pub const FLOW_END_REASON: usize = 69;
pub const FLOW_PACKETS_TO_SERVER: usize = 78;
pub const FLOW_PACKETS_TO_CLIENT: usize = 86;
pub const FLOW_BYTES_TO_SERVER: usize = 94;
pub const FLOW_BYTES_TO_CLIENT: usize = 102;

/// Of `EndReason`.
pub const CHECKPOINT: u8 = 1;

/// The rows of a table; half a row is none.
pub fn rows(table: &[u8], row_bytes: usize) -> impl Iterator<Item = &[u8]> {
    assert_eq!(table.len() % row_bytes, 0, "rows are whole");
    table.chunks_exact(row_bytes)
}

pub fn u64_at(row: &[u8], at: usize) -> u64 {
    row[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

pub fn i32_at(row: &[u8], at: usize) -> i32 {
    row[at..].first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes))
}

//! Fact rows on their way out: the fields in the order and width of the dtypes in `hbids/facts.py`, little-endian.

/// Room kept for the rows of the next step.
const MOST_ROOM_BYTES: usize = 1 << 20;

/// One table's rows, back to back.
#[derive(Default)]
pub(crate) struct Table {
    bytes: Vec<u8>,
}

impl Table {
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// Bytes in a field of fixed width: cut, or filled up with zeros.
    pub(crate) fn text(&mut self, value: &[u8], width: usize) {
        let kept = value.len().min(width);
        self.bytes.extend_from_slice(&value[..kept]);
        self.bytes.resize(self.bytes.len() + width - kept, 0);
    }

    /// All rows; room is made for as many again.
    fn take(&mut self) -> Vec<u8> {
        let room = self.bytes.len().min(MOST_ROOM_BYTES);
        std::mem::replace(&mut self.bytes, Vec::with_capacity(room))
    }

    pub(crate) fn append(&mut self, other: &mut Self) {
        self.bytes.append(&mut other.bytes);
    }
}

/// The three tables.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) heartbeats: Table,
    pub(crate) sessions: Table,
    pub(crate) flows: Table,
}

/// What one step of decoding learnt, each table as packed rows.
#[derive(Debug, Default)]
pub struct Facts {
    /// Rows of `HEARTBEAT_DTYPE`.
    pub heartbeats: Vec<u8>,
    /// Rows of `SESSION_DTYPE`.
    pub sessions: Vec<u8>,
    /// Rows of `FLOW_DTYPE`.
    pub flows: Vec<u8>,
}

impl Rows {
    /// Everything since the last call.
    pub(crate) fn take(&mut self) -> Facts {
        Facts { heartbeats: self.heartbeats.take(), sessions: self.sessions.take(), flows: self.flows.take() }
    }
}

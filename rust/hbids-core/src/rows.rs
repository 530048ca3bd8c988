//! Fact rows on their way out: the fields in the order and width of the dtypes in `hbids/facts.py`, little-endian.

/// Room kept for the rows of the next step.
const MOST_ROOM_BYTES: usize = 1 << 20;

/// One table's rows, back to back.
#[derive(Default)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    /// Up to the end of the last whole row.
    whole_bytes: usize,
    whole_rows: usize,
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

    /// The last field of a row was written.
    pub(crate) fn end_row(&mut self) {
        self.whole_bytes = self.bytes.len();
        self.whole_rows += 1;
    }

    /// All rows, without one that a panic left unfinished; room is made for as many again.
    fn take(&mut self) -> Vec<u8> {
        self.bytes.truncate(std::mem::take(&mut self.whole_bytes));
        self.whole_rows = 0;
        let room = self.bytes.len().min(MOST_ROOM_BYTES);
        std::mem::replace(&mut self.bytes, Vec::with_capacity(room))
    }

    pub(crate) fn append(&mut self, other: &mut Self) {
        self.bytes.append(&mut other.bytes);
        self.whole_bytes = self.bytes.len();
        self.whole_rows += std::mem::take(&mut other.whole_rows);
        other.whole_bytes = 0;
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
    /// Everything since the last time, if it is so many rows; else it goes on waiting.
    pub(crate) fn take(&mut self, at_least: usize) -> Facts {
        if self.heartbeats.whole_rows + self.sessions.whole_rows + self.flows.whole_rows < at_least {
            return Facts::default();
        }
        Facts { heartbeats: self.heartbeats.take(), sessions: self.sessions.take(), flows: self.flows.take() }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_row_left_unfinished_is_dropped_and_the_next_step_begins_clean() {
        let mut table = Table::default();
        table.u16(1);
        table.end_row();
        table.u8(2);
        assert_eq!(table.take(), [1, 0]);
        table.u16(3);
        table.end_row();
        assert_eq!(table.take(), [3, 0]);
    }

    #[test]
    fn rows_held_elsewhere_are_whole() {
        let mut held = Table::default();
        held.u8(1);
        held.end_row();
        let mut table = Table::default();
        table.append(&mut held);
        assert_eq!(table.take(), [1]);
        assert!(held.take().is_empty());
    }
}

//! A heartbeat message: see `hbids/decode/reference/heartbeat_message.py`.

use crate::hello::FULL_FRAGMENT;

pub(crate) const TYPE_REQUEST: i16 = 1;
pub(crate) const TYPE_RESPONSE: i16 = 2;
/// Type and payload_length.
pub(crate) const HEADER_BYTES: u16 = 3;
pub(crate) const PADDING_BYTES: u32 = 16;
/// RFC 6066 section 4; OpenSSL allows no smaller fragment either.
const SMALLEST_FRAGMENT: u16 = 512;
/// RC4-MD5 around 19 bytes, the smallest legal heartbeat of any suite.
const SMALLEST_SEALED_BYTES: u16 = 35;
pub(crate) const ABSENT: i32 = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Clear = 1,
    Sealed = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request = 1,
    Response = 2,
    Malformed = 3,
}

/// What is remembered of a request until its answer comes.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) message_id: u64,
    pub(crate) record_length: i32,
    pub(crate) claimed_length: i32,
    pub(crate) time_ns: i64,
}

pub(crate) const NO_REQUEST: Request =
    Request { message_id: 0, record_length: ABSENT, claimed_length: ABSENT, time_ns: 0 };

/// A message in the making.
pub(crate) struct Message {
    pub(crate) message_id: u64,
    pub(crate) time_ns: i64,
    pub(crate) end_time_ns: i64,
    pub(crate) kind: Kind,
    pub(crate) protection: Protection,
    pub(crate) phase: u8,
    pub(crate) message_type: i16,
    pub(crate) claimed_length: i32,
    pub(crate) record_version: u16,
    pub(crate) record_length: u16,
    pub(crate) last_record_length: u16,
    /// A record of another kind came behind it.
    pub(crate) interrupted: bool,
    pub(crate) request: Request,
    /// The request was seen, or could have been missed: later records may belong to this answer.
    pub(crate) may_continue: bool,
    pub(crate) gap: bool,
    pub(crate) lost_place: bool,
    pub(crate) reported_early: bool,
    pub(crate) records: u32,
    pub(crate) bytes_seen: u64,
    /// By the headers of all its records.
    pub(crate) bytes_claimed: u64,
}

impl Message {
    /// The answer has more than was sent, beyond what legal padding explains.
    pub(crate) fn exceeds_request(&self) -> bool {
        let sent = i64::from(self.request.record_length);
        if self.request.record_length == ABSENT {
            return false;
        }
        let seen = i64::try_from(self.bytes_seen).unwrap_or(i64::MAX);
        if self.protection == Protection::Sealed {
            return seen > sent + i64::from(PADDING_BYTES);
        }
        let header = i64::from(HEADER_BYTES);
        i64::from(self.claimed_length).min(seen - header) > (sent - header).max(0)
    }

    /// Header, claimed payload and padding.
    fn whole_bytes(&self) -> u64 {
        u64::from(HEADER_BYTES) + u64::from(self.claimed_length.max(0).unsigned_abs()) + u64::from(PADDING_BYTES)
    }

    /// Between records: whether another record may belong to this message.
    pub(crate) fn is_open(&self, fragment_bytes: u16) -> bool {
        if self.kind != Kind::Response || !self.may_continue {
            return false;
        }
        if self.protection == Protection::Sealed {
            return self.last_record_length == self.record_length && self.record_length >= fragment_bytes;
        }
        self.claimed_length != ABSENT
            && self.record_length >= SMALLEST_FRAGMENT
            && self.whole_bytes() > self.bytes_claimed
    }

    /// Whether an open message's next record would have this length.
    pub(crate) fn continues_with(&self, length: u16) -> bool {
        if self.protection == Protection::Sealed {
            return length <= self.record_length;
        }
        let (length, record) = (u64::from(length), u64::from(self.record_length));
        let left = self.whole_bytes().saturating_sub(self.bytes_claimed);
        if self.lost_place {
            // Records may be missing: any cut of the same answer will do.
            return length <= left && (length == record || length == self.whole_bytes() % record);
        }
        length == left.min(record)
    }
}

/// A heartbeat record of which too little has come to say what it is.
pub(crate) struct Opening {
    pub(crate) time_ns: i64,
    pub(crate) end_time_ns: i64,
    pub(crate) version: u16,
    pub(crate) length: u16,
    pub(crate) head: [u8; HEADER_BYTES as usize],
    pub(crate) head_length: u16,
}

impl Opening {
    pub(crate) fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_length)]
    }

    /// For a flow joined in mid-stream: clear when the bytes make sense as a header in a record too small to be
    /// sealed, or exactly as large as an answer or an honest message is.
    pub(crate) fn guess_protection(&self) -> Protection {
        if self.length == 0 {
            return Protection::Clear;
        }
        if !matches!(self.head().first(), Some(1 | 2)) {
            return Protection::Sealed;
        }
        if self.length < SMALLEST_SEALED_BYTES || self.length == FULL_FRAGMENT {
            return Protection::Clear;
        }
        let carried = u32::from(self.length - HEADER_BYTES);
        let claimed = self.head().get(1..).unwrap_or(&[]).iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        if claimed == carried || claimed + PADDING_BYTES == carried {
            Protection::Clear
        } else {
            Protection::Sealed
        }
    }
}

//! One direction of a flow. The reference engine keeps each part in the object whose concern it is; here they lie together,
//! since most packets need most of them.

use crate::doubt::Credit;
use crate::record::Mode;
use crate::stream::{Holes, TAIL_BYTES};

const ABSENT: i16 = -1;

/// One direction.
pub(crate) struct Side {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Body bytes of application data and heartbeat records.
    pub(crate) bulk_record_bytes: [u64; 2],
    /// When the record at hand began.
    pub(crate) header_ns: i64,
    pub(crate) holes: Option<Box<Holes>>,
    pub(crate) records: [u32; 5],
    /// Body bytes of change_cipher_spec, alert and handshake records, which no flow has gigabytes of.
    pub(crate) small_record_bytes: [u32; 3],
    pub(crate) next_seq: u32,
    pub(crate) initial_seq: u32,
    pub(crate) acked: u32,
    /// In BODY: bytes of the record still to come. In SEARCH: bytes searched so far.
    pub(crate) progress: u32,
    pub(crate) record_version: u16,
    pub(crate) record_type: u8,
    pub(crate) header: [u8; 6],
    pub(crate) header_length: u8,
    pub(crate) mode: Mode,
    pub(crate) credit: Credit,
    /// The last bytes delivered.
    pub(crate) tail: [u8; TAIL_BYTES],
    pub(crate) tail_length: u8,
    pub(crate) ttl_min: u8,
    pub(crate) ttl_max: u8,
    pub(crate) started: bool,
    pub(crate) syn_seen: bool,
    pub(crate) ack_seen: bool,
    pub(crate) fin_seen: bool,
    pub(crate) from_first_byte: bool,
    pub(crate) changed_cipher: bool,
    pub(crate) sealed: bool,
    /// Bytes of this direction are missing.
    pub(crate) lost: bool,
    /// The direction's hello is not yet read and may still come; not of DTLS, whose hellos come in fragments.
    pub(crate) awaits_hello: bool,
}

impl Side {
    pub(crate) fn new(awaits_hello: bool) -> Self {
        Self {
            packets: 0,
            bytes: 0,
            bulk_record_bytes: [0; 2],
            header_ns: 0,
            holes: None,
            records: [0; 5],
            small_record_bytes: [0; 3],
            next_seq: 0,
            initial_seq: 0,
            acked: 0,
            progress: 0,
            record_version: 0,
            record_type: 0,
            header: [0; 6],
            header_length: 0,
            mode: Mode::Search,
            credit: Credit::new(),
            tail: [0; TAIL_BYTES],
            tail_length: 0,
            ttl_min: u8::MAX,
            ttl_max: 0,
            started: false,
            syn_seen: false,
            ack_seen: false,
            fin_seen: false,
            from_first_byte: false,
            changed_cipher: false,
            sealed: false,
            lost: false,
            awaits_hello,
        }
    }

    /// It is seen from its first byte.
    pub(crate) fn start(&mut self) {
        self.mode = Mode::Start;
        self.from_first_byte = true;
    }

    pub(crate) fn take_ttl(&mut self, ttl: u8) {
        self.ttl_min = self.ttl_min.min(ttl);
        self.ttl_max = self.ttl_max.max(ttl);
    }

    pub(crate) fn ttl(&self, value: u8) -> i16 {
        if self.ttl_min > self.ttl_max {
            ABSENT
        } else {
            i16::from(value)
        }
    }
}

//! What all flows of a run share: limits, counters, rows on their way out, and the packet at hand (the only clock).

use ahash::RandomState;

use crate::hello::FingerprintCache;
use crate::rows::Rows;

/// What the decoder may hold at once; the reasons stand in `hbids/config.py`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Limits {
    pub flows: u64,
    pub opening_timeout_ns: i64,
    pub plain_timeout_ns: i64,
    pub tls_timeout_ns: i64,
    pub closed_timeout_ns: i64,
    pub checkpoint_ns: i64,
    pub out_of_order_bytes: u64,
    pub out_of_order_bytes_total: u64,
    pub state_bytes_total: u64,
    pub hole_acked_wait_ns: i64,
    pub hole_wait_ns: i64,
    pub hello_bytes: u64,
    pub openvpn_sessions: u64,
    pub plain_turn_bytes: u64,
    pub pending_requests: u64,
    pub pending_wait_ns: i64,
    pub answer_wait_ns: i64,
    pub held_heartbeats: u64,
    pub search_bytes: u64,
    pub layers: u64,
    pub fragments: u64,
    pub fragment_bytes: u64,
    pub fragment_timeout_ns: i64,
    pub vxlan_ports: Vec<u16>,
    pub geneve_ports: Vec<u16>,
    pub gtp_ports: Vec<u16>,
    pub teredo_ports: Vec<u16>,
    pub radius_ports: Vec<u16>,
    pub eap_clues: u64,
    pub eap_clue_timeout_ns: i64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// Totals over the run; nothing is dropped without one of them going up.
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs)]
        pub struct Counters { $(pub $name: u64),* }

        impl Counters {
            /// Names and values, for the world outside.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters!(
    packets,
    bytes,
    flows,
    frame_truncated,
    layers_exceeded,
    link_type_unsupported,
    not_ip,
    not_tcp,
    ip_malformed,
    tcp_malformed,
    udp_malformed,
    tunnel_unreadable,
    eap_malformed,
    fragments,
    fragments_repeated,
    fragments_overlapping,
    fragments_malformed,
    fragments_refused,
    packets_reassembled,
    packets_incomplete,
    packets_evicted,
    syn_ignored,
    payloads_ignored,
    flows_evicted,
    segments_repeated,
    segments_refused,
    urgent_bytes,
    stream_gaps,
    record_desync,
    record_overlong,
    datagrams_cut,
    datagrams_foreign,
    datagrams_refused,
    dtls_records_overrun,
    dtls_records_replayed,
    dtls_cid_records,
    dtls13_records,
    openvpn_gaps,
    openvpn_packets_ahead,
    openvpn_packets_cut,
    openvpn_packets_malformed,
    openvpn_packets_repeated,
    openvpn_packets_sealed,
    eap_clues_evicted,
    eap_repeated,
    eap_unasked,
    hello_too_long,
    hello_incomplete,
    hello_malformed,
    pending_requests_dropped,
    held_heartbeats_dropped,
    heartbeats_without_tls,
);

/// See the module's documentation.
pub struct Run {
    pub(crate) limits: Limits,
    pub(crate) rows: Rows,
    pub(crate) counters: Counters,
    pub(crate) fingerprints: FingerprintCache,
    /// For what is only compared within this run.
    pub(crate) hasher: RandomState,
    pub(crate) packet_number: u64,
    pub(crate) time_ns: i64,
    pub(crate) out_of_order_bytes: u64,
    pub(crate) state_bytes: u64,
    /// Flows and messages are numbered from here.
    pub(crate) numbers_from: u64,
    messages: u64,
}

impl Run {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            rows: Rows::default(),
            counters: Counters::default(),
            fingerprints: FingerprintCache::default(),
            hasher: RandomState::new(),
            packet_number: 0,
            time_ns: 0,
            out_of_order_bytes: 0,
            state_bytes: 0,
            numbers_from: 0,
            messages: 0,
        }
    }

    /// 1, 2, 3 ...
    pub(crate) fn next_message_id(&mut self) -> u64 {
        self.messages += 1;
        self.numbers_from + self.messages
    }

    /// 1, 2, 3 ...
    pub(crate) fn next_flow_id(&mut self) -> u64 {
        self.counters.flows += 1;
        self.numbers_from + self.counters.flows
    }
}

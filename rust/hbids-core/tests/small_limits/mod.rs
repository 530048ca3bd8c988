//! Limits small enough that a few packets reach each of them; the fuzz targets use them, too.

use hbids_core::Limits;

/// Every limit within reach.
#[must_use]
pub fn small_limits() -> Limits {
    Limits {
        flows: 8,
        opening_timeout_ns: 1_000_000_000,
        plain_timeout_ns: 2_000_000_000,
        tls_timeout_ns: 4_000_000_000,
        closed_timeout_ns: 500_000_000,
        checkpoint_ns: 3_000_000_000,
        out_of_order_bytes: 8_192,
        out_of_order_bytes_total: 16_384,
        state_bytes_total: 4_096,
        hole_acked_wait_ns: 100_000_000,
        hole_wait_ns: 1_000_000_000,
        hello_bytes: 2_048,
        openvpn_sessions: 2,
        plain_turn_bytes: 64,
        pending_requests: 4,
        pending_wait_ns: 1_000_000_000,
        answer_wait_ns: 1_000_000_000,
        held_heartbeats: 2,
        search_bytes: 4_096,
        layers: 12,
        fragments: 4,
        fragment_bytes: 8_192,
        fragment_timeout_ns: 1_000_000_000,
        vxlan_ports: vec![4789],
        geneve_ports: vec![6081],
        gtp_ports: vec![2152],
        teredo_ports: vec![3544],
        radius_ports: vec![1812],
        eap_clues: 8,
        eap_clue_timeout_ns: 1_000_000_000,
    }
}

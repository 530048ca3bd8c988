//! Rows of flows: see `hbids/decode/reference/flow_row.py`.

use crate::flow::{EndReason, Flow};
use crate::heartbeat::LastRecord;
use crate::run::Run;
use crate::session::TRANSPORT_TLS;

/// What a flow row counts of one direction's records.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) records: [u32; 5],
    pub(crate) small_record_bytes: [u32; 3],
    pub(crate) bulk_record_bytes: [u64; 2],
    pub(crate) heartbeats: u32,
    pub(crate) last_record: LastRecord,
}

impl Counts {
    pub(crate) fn add(&mut self, flow: &Flow, side: usize) {
        let own = &flow.sides[side];
        for (total, count) in self.records.iter_mut().zip(own.records) {
            *total = total.saturating_add(count);
        }
        for (total, bytes) in self.small_record_bytes.iter_mut().zip(own.small_record_bytes) {
            *total = total.saturating_add(bytes);
        }
        for (total, bytes) in self.bulk_record_bytes.iter_mut().zip(own.bulk_record_bytes) {
            *total = total.saturating_add(bytes);
        }
        if let Some(heartbeats) = flow.heartbeats.as_ref() {
            self.heartbeats = self.heartbeats.saturating_add(heartbeats.counts[side]);
            self.last_record = self.last_record.max(heartbeats.last_records[side]);
        }
    }
}

impl Flow {
    /// Of all sessions on this flow.
    fn counts(&self, side: usize) -> Counts {
        let mut counts = Counts::default();
        counts.add(self, side);
        for session in self.openvpn.iter().flat_map(|vpn| vpn.sessions()) {
            counts.add(session, side);
        }
        counts
    }

    /// Add a row.
    pub(crate) fn write_row(&self, run: &mut Run, reason: EndReason) {
        let client = self.client();
        let ways = [client, 1 - client];
        let table = &mut run.rows.flows;
        table.u64(self.flow_id);
        table.i64(self.start_ns);
        table.i64(self.end_ns);
        self.put_endpoints(table);
        table.u8(if self.is_tls_in_openvpn() {
            TRANSPORT_TLS
        } else if self.is_tls() {
            self.transport()
        } else {
            0
        });
        table.flag(self.midstream);
        table.u8(reason as u8);
        for side in ways.map(|side| &self.sides[side]) {
            table.i16(side.ttl(side.ttl_min));
            table.i16(side.ttl(side.ttl_max));
        }
        self.put_totals(table);
        let totals = ways.map(|side| self.counts(side));
        for total in &totals {
            for count in total.records {
                table.u32(count);
            }
            for bytes in total.small_record_bytes {
                table.u64(u64::from(bytes));
            }
            for bytes in total.bulk_record_bytes {
                table.u64(bytes);
            }
        }
        for total in &totals {
            table.u32(total.heartbeats);
        }
        for side in ways {
            let in_openvpn = self.openvpn.as_ref().map_or(0, |vpn| vpn.gaps(side));
            table.u32(self.sides[side].holes.as_ref().map_or(0, |holes| holes.gaps).saturating_add(in_openvpn));
        }
        for side in ways {
            table.u64(self.sides[side].holes.as_ref().map_or(0, |holes| holes.gap_bytes));
        }
        for side in ways {
            table.u32(self.sides[side].holes.as_ref().map_or(0, |holes| holes.conflicts));
        }
        for total in &totals {
            table.i64(total.last_record.began_ns);
        }
        for total in &totals {
            table.u8(total.last_record.kind);
        }
        // The numbers are those of `hbids.facts.Direction`.
        table.u8(self.first_fin.map_or(0, |side| if usize::from(side) == client { 1 } else { 2 }));
        table.end_row();
    }
}

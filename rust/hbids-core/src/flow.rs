//! One TCP connection, exchange of UDP datagrams or EAP conversation: both directions and what is known of it. Kept small, since a
//! span port shows millions.
//!
//! The methods of [`Flow`] live in the module of their concern: `stream` (bytes in order), `record` (TLS records),
//! `datagram` (DTLS records), `openvpn` (TLS in its control channel), `eap` (TLS in pieces), `session` (hellos and state),
//! `heartbeat` (messages).

use crate::datagram::Datagrams;
use crate::dialogue::{Dialogue, DIALOGUE_BYTES};
use crate::doubt::{Credit, Reasons, NO_DOUBT};
use crate::eap::{Conversing, Eap, CONVERSING_BYTES};
use crate::flow_key::Key;
use crate::flow_table::Place;
use crate::heartbeat::Heartbeats;
use crate::hello::FULL_FRAGMENT;
use crate::layers::{Carried, Segment};
use crate::network::{PROTOCOL_EAPOL, PROTOCOL_UDP};
use crate::openvpn::OpenVpn;
use crate::openvpn_packet::is_data;
use crate::record::Mode;
use crate::rows::Table;
use crate::run::Run;
use crate::session::{Hello, NO_SUITE, NO_VERSION, TRANSPORT_DTLS, TRANSPORT_TLS};
use crate::stream::{distance, Holes, TAIL_BYTES};
use crate::transport::{ACK, FIN, RST, SYN, URG};
use crate::upgrade_words::TlsStart;

/// Where only one side was captured, a SYN with a new sequence number replaces a flow idle for this long.
const REUSE_IDLE_NS: i64 = 2_000_000_000;
/// How far from the expected byte a reset may be and still be believed.
const RST_WINDOW: i32 = 1 << 20;
/// The extension of a hello that was not captured.
pub(crate) const NOT_SEEN: i16 = -2;
const ABSENT: i16 = -1;

/// Why a row of `flows` was written; the numbers are those of `hbids.facts.EndReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EndReason {
    Checkpoint = 1,
    Fin = 2,
    Rst = 3,
    Timeout = 4,
    Reused = 5,
    Evicted = 6,
    CaptureEnd = 7,
}

/// What is known of a flow, in the order in which flows are evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Closed = 0,
    Opening = 1,
    Plain = 2,
    Tls = 3,
}

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
    fn new(awaits_hello: bool) -> Self {
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
    fn start(&mut self) {
        self.mode = Mode::Start;
        self.from_first_byte = true;
    }

    fn take_ttl(&mut self, ttl: u8) {
        self.ttl_min = self.ttl_min.min(ttl);
        self.ttl_max = self.ttl_max.max(ttl);
    }

    fn ttl(&self, value: u8) -> i16 {
        if self.ttl_min > self.ttl_max {
            ABSENT
        } else {
            i16::from(value)
        }
    }
}

/// See the module's documentation.
pub(crate) struct Flow {
    pub(crate) key: Key,
    pub(crate) sides: [Side; 2],
    pub(crate) flow_id: u64,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    /// When it last had a packet, by the table's clock.
    pub(crate) touched_ns: i64,
    /// In the table's lists.
    pub(crate) places: [Place; 2],
    /// Until the session row is written.
    pub(crate) hello: Option<Box<Hello>>,
    /// While there is plain text that may lead to TLS.
    pub(crate) dialogue: Option<Box<Dialogue>>,
    /// From the first heartbeat on.
    pub(crate) heartbeats: Option<Box<Heartbeats>>,
    /// From the first datagram on that looks like DTLS.
    pub(crate) datagrams: Option<Box<Datagrams>>,
    /// From the first packet on that looks like OpenVPN.
    pub(crate) openvpn: Option<Box<OpenVpn>>,
    /// What it was charged for in `Run::state_bytes`.
    pub(crate) state_bytes: u32,
    /// Of EAP.
    pub(crate) conversing: Option<Box<Conversing>>,
    checkpoints: u32,
    vlan: [u16; 3],
    pub(crate) fragment_bytes: u16,
    pub(crate) cipher_suite: u16,
    pub(crate) tls_version: u16,
    pub(crate) heartbeat_accepted: i16,
    pub(crate) encrypt_then_mac: u8,
    pub(crate) standing: Standing,
    closed: Option<EndReason>,
    /// Which side began the end.
    first_fin: Option<u8>,
    pub(crate) client_side: Option<u8>,
    /// Which side sent a ClientHello.
    pub(crate) hello_client_side: Option<u8>,
    /// Whose last turn in plain text became too long for a dialogue.
    pub(crate) bulk_side: Option<u8>,
    pub(crate) tls_start: TlsStart,
    /// A ClientHello followed plain text that did not lead to it; the ServerHello will tell.
    pub(crate) is_tentative: bool,
    pub(crate) midstream: bool,
    /// It is listed among those that hold something.
    pub(crate) is_holder: bool,
    /// It is a TLS session inside another flow, of whatever protocol that is.
    is_within: bool,
    /// Of UDP: payload that looks like DTLS or OpenVPN.
    pub(crate) has_payload: bool,
    pub(crate) said_hello: bool,
    pub(crate) server_said_hello: bool,
    pub(crate) session_written: bool,
    /// The hello may have passed unseen.
    pub(crate) hello_may_be_missed: bool,
    /// Its records have proved to be records.
    pub(crate) verified: bool,
}

impl Flow {
    pub(crate) fn new(run: &Run, flow_id: u64, key: Key, packet: &Carried<'_>) -> Self {
        let (vlan, midstream) = match packet {
            Carried::Segment(segment) => (segment.vlan, segment.flags & SYN == 0),
            Carried::Datagram(datagram) => (datagram.vlan, false),
            Carried::Eap(packet) => (packet.vlan, packet.eap.is_midstream()),
        };
        let is_stream = !matches!(packet, Carried::Datagram(_));
        let mut flow = Self::blank(key, flow_id, run.time_ns, vlan, midstream, is_stream);
        if flow.is_eap() {
            flow.conversing = Some(Box::default());
            flow.tls_start = flow.first_tls_start();
            if !midstream {
                flow.sides.iter_mut().for_each(|side| side.mode = Mode::Start);
            }
        }
        flow
    }

    /// A TLS session inside this flow, seen from its first byte on, or joined in mid-stream.
    pub(crate) fn within(&self, midstream: bool) -> Self {
        let mut flow = Self::blank(self.key, self.flow_id, self.start_ns, self.vlan, midstream, true);
        flow.is_within = true;
        flow.tls_start = flow.first_tls_start();
        if !midstream {
            flow.sides.iter_mut().for_each(Side::start);
        }
        flow
    }

    fn blank(key: Key, flow_id: u64, start_ns: i64, vlan: [u16; 3], midstream: bool, is_stream: bool) -> Self {
        Self {
            key,
            sides: [Side::new(is_stream), Side::new(is_stream)],
            flow_id,
            start_ns,
            end_ns: start_ns,
            touched_ns: 0,
            places: [Place::NONE; 2],
            hello: None,
            dialogue: None,
            heartbeats: None,
            datagrams: None,
            openvpn: None,
            state_bytes: 0,
            conversing: None,
            checkpoints: 0,
            vlan,
            fragment_bytes: FULL_FRAGMENT,
            cipher_suite: NO_SUITE,
            tls_version: NO_VERSION,
            heartbeat_accepted: NOT_SEEN,
            encrypt_then_mac: 0,
            standing: Standing::Opening,
            closed: None,
            first_fin: None,
            client_side: None,
            hello_client_side: None,
            bulk_side: None,
            tls_start: if midstream { TlsStart::Unknown } else { TlsStart::Direct },
            is_tentative: false,
            midstream,
            is_holder: false,
            is_within: false,
            has_payload: false,
            said_hello: false,
            server_said_hello: false,
            session_written: false,
            // Datagrams do not tell where a flow begins.
            hello_may_be_missed: midstream || !is_stream,
            verified: false,
        }
    }

    /// Read a little of every part that a packet will need, so that all of it comes from memory at once.
    pub(crate) fn touch(&self) -> u64 {
        let of_side = |side: &Side| {
            side.packets ^ side.header_ns.unsigned_abs() ^ u64::from(side.records[0]) ^ u64::from(side.record_type)
        };
        of_side(&self.sides[0])
            ^ of_side(&self.sides[1])
            ^ self.end_ns.unsigned_abs()
            ^ u64::from(self.openvpn.is_some())
            ^ u64::from(self.key.ports[0])
            ^ u64::from(self.tls_start as u8)
            ^ u64::from(self.sides[0].tail_length)
            ^ u64::from(self.sides[1].tail_length)
    }

    /// Whether its records are those of DTLS.
    pub(crate) fn is_dtls(&self) -> bool {
        self.key.protocol == PROTOCOL_UDP && !self.is_within && !self.is_eap()
    }

    /// Whether it is an EAP conversation.
    fn is_eap(&self) -> bool {
        self.key.conversation != 0 || self.key.protocol == PROTOCOL_EAPOL
    }

    /// How TLS begins unless there is plain text first.
    pub(crate) fn first_tls_start(&self) -> TlsStart {
        if self.is_within {
            TlsStart::OpenVpn
        } else if self.is_eap() {
            TlsStart::Eap
        } else if self.midstream {
            TlsStart::Unknown
        } else {
            TlsStart::Direct
        }
    }

    /// The numbers are those of `hbids.facts.Transport`.
    pub(crate) fn transport(&self) -> u8 {
        if self.is_dtls() {
            TRANSPORT_DTLS
        } else {
            TRANSPORT_TLS
        }
    }

    // --- roles ---

    /// The first evidence counts.
    pub(crate) fn set_client(&mut self, side: usize) {
        self.client_side.get_or_insert(u8::from(side == 1));
    }

    /// The client's side: known, or guessed from the higher port.
    pub(crate) fn client(&self) -> usize {
        match self.client_side {
            Some(side) => usize::from(side),
            None => usize::from(self.key.ports[0] <= self.key.ports[1]),
        }
    }

    // --- packets ---

    /// Whether this SYN begins a new connection between the same endpoints: one that the other side agrees to, since it
    /// would ignore a decoy.
    pub(crate) fn is_replaced_by(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) -> bool {
        let (own, other) = (&self.sides[side], &self.sides[1 - side]);
        if (own.syn_seen && own.initial_seq == segment.seq) || !own.started {
            return false;
        }
        if segment.flags & ACK != 0 {
            let asked = other.syn_seen && segment.ack == other.initial_seq.wrapping_add(1);
            let in_use = own.syn_seen || !own.is_at_first_byte();
            return asked && in_use;
        }
        let has_agreed = other.packets > 0 && other.started;
        let idle = run.time_ns.saturating_sub(self.end_ns) >= REUSE_IDLE_NS;
        if self.closed == Some(EndReason::Fin) || (!has_agreed && (self.closed.is_some() || !self.has_payload || idle))
        {
            return true;
        }
        // Of the new connection, should the other side agree.
        self.sides[side].initial_seq = segment.seq;
        self.sides[side].syn_seen = true;
        run.counters.syn_ignored += 1;
        false
    }

    /// Whether a packet begins a new EAP conversation between the same endpoints.
    pub(crate) fn is_begun_anew_by(&self, eap: &Eap<'_>) -> bool {
        self.conversing.as_ref().is_some_and(|conversing| conversing.is_begun_anew_by(eap))
    }

    /// Count a packet and read what it carries.
    pub(crate) fn packet(&mut self, run: &mut Run, side: usize, packet: &Carried<'_>, wire_bytes: u32) {
        let own = &mut self.sides[side];
        own.packets += 1;
        own.bytes += u64::from(wire_bytes);
        self.end_ns = self.end_ns.max(run.time_ns);
        match packet {
            Carried::Segment(segment) => {
                own.take_ttl(segment.ttl);
                self.tcp_segment(run, side, segment);
            }
            Carried::Eap(packet) => {
                packet.ttl.into_iter().for_each(|ttl| own.take_ttl(ttl));
                self.eap(run, side, &packet.eap);
            }
            Carried::Datagram(datagram) => {
                own.take_ttl(datagram.ttl);
                let matters = self.has_payload && !datagram.payload().first().is_some_and(|first| is_data(*first));
                let credit = &mut self.sides[side].credit;
                if credit.has_wrong_checksum(matters, || datagram.is_checksum_right()) {
                    run.counters.datagrams_refused += 1;
                } else if !self.openvpn_datagram(run, side, datagram) {
                    self.datagram(run, side, datagram);
                }
            }
        }
        self.checkpoint(run);
    }

    fn tcp_segment(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) {
        let other = 1 - side;
        if segment.flags & SYN != 0 {
            self.synchronise(run, side, segment);
        }
        let has_payload = segment.length > 0 && segment.flags & (ACK | SYN | RST) == ACK;
        let doubt = self.doubt(side, segment, has_payload);
        if segment.flags & ACK != 0 {
            self.acknowledge(run, other, segment);
            if self.sides[other].holes.is_some() {
                self.settle(run, other); // what is acknowledged was there before
            }
        }
        if has_payload {
            self.payload(run, side, segment, doubt);
        } else if segment.length > 0 {
            run.counters.payloads_ignored += 1;
        }
        if segment.flags & FIN != 0 {
            self.first_fin.get_or_insert(u8::from(side == 1));
            self.sides[side].fin_seen = true;
            if self.sides[other].fin_seen && self.closed.is_none() {
                self.closed = Some(EndReason::Fin);
            }
        }
        if segment.flags & RST != 0 {
            let own = &self.sides[side];
            if !own.started || distance(segment.seq, own.next_seq).unsigned_abs() <= RST_WINDOW.unsigned_abs() {
                self.closed = Some(EndReason::Rst);
            }
        }
        for side in [side, other] {
            if self.sides[side].holes.is_some() {
                self.check_hole(run, side);
                self.settle(run, side);
            }
        }
    }

    fn checkpoint(&mut self, run: &mut Run) {
        let lived_ns = run.time_ns.saturating_sub(self.start_ns);
        if lived_ns < run.limits.checkpoint_ns {
            return;
        }
        let due = u32::try_from(lived_ns / run.limits.checkpoint_ns.max(1)).unwrap_or(u32::MAX);
        if due > self.checkpoints {
            self.checkpoints = due;
            self.write(run, EndReason::Checkpoint);
        }
    }

    fn synchronise(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) {
        self.set_client(if segment.flags & ACK != 0 { 1 - side } else { side });
        let own = &self.sides[side];
        // An acknowledgement of the other side may have started the stream before; its SYN knows better.
        if !own.started || (!own.syn_seen && own.is_at_first_byte()) {
            self.start_stream(run, side, segment.seq.wrapping_add(1));
            self.sides[side].syn_seen = true;
            self.sides[side].initial_seq = segment.seq;
        }
    }

    /// The stream of this side is seen from its first byte, whatever was expected before: what waits is judged anew.
    fn start_stream(&mut self, run: &mut Run, side: usize, seq: u32) {
        let own = &mut self.sides[side];
        own.started = true;
        own.next_seq = seq;
        own.tail_length = 0;
        own.start();
        let waiting = own.holes.as_mut().map(|holes| holes.take_waiting(run)).unwrap_or_default();
        for piece in waiting {
            self.segment(run, side, piece.seq, &piece.data, piece.length);
        }
    }

    fn acknowledge(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>) {
        let own = &self.sides[side];
        // Where the stream begins, the other side's SYN knows better than a SYN of its own, which may be a decoy.
        if !self.midstream && (!own.started || (segment.flags & SYN != 0 && own.is_at_first_byte())) {
            self.start_stream(run, side, segment.ack);
        }
        self.sides[side].acknowledge(segment.ack);
    }

    fn payload(&mut self, run: &mut Run, side: usize, segment: &Segment<'_>, doubt: Reasons) {
        self.has_payload = true;
        let own = &mut self.sides[side];
        if !own.started {
            own.started = true;
            own.next_seq = segment.seq;
        }
        if doubt != NO_DOUBT {
            self.keep_doubtful(run, side, segment, doubt);
            return;
        }
        if segment.flags & URG != 0 {
            let urgent_seq = segment.seq.wrapping_add(u32::from(segment.urgent.saturating_sub(1)));
            own.holes.get_or_insert_default().urgent_seq = Some(urgent_seq);
        }
        if self.segment(run, side, segment.seq, segment.payload(), segment.length) {
            self.reopen();
        }
    }

    /// Whatever closed it was not believed by its endpoints.
    pub(crate) fn reopen(&mut self) {
        if self.closed.is_some() {
            self.closed = None;
            self.first_fin = None;
            self.sides[0].fin_seen = false;
            self.sides[1].fin_seen = false;
        }
    }

    /// What it holds beyond what every flow takes, out-of-order bytes left out.
    #[inline]
    pub(crate) fn count_state_bytes(&self) -> u32 {
        if self.holds_anything() {
            self.add_up_state_bytes()
        } else {
            0 // as most flows at most times
        }
    }

    fn add_up_state_bytes(&self) -> u32 {
        let held = self.hello_bytes()
            + self.dialogue.as_ref().map_or(0, |_| DIALOGUE_BYTES)
            + self.heartbeats.as_ref().map_or(0, |heartbeats| heartbeats.held_bytes())
            + self.datagrams.as_ref().map_or(0, |datagrams| datagrams.held_bytes())
            + self.conversing.as_ref().map_or(0, |_| CONVERSING_BYTES)
            + self.openvpn.as_ref().map_or(0, |vpn| vpn.held_bytes());
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    fn holds_anything(&self) -> bool {
        self.hello.is_some()
            || self.dialogue.is_some()
            || self.heartbeats.is_some()
            || self.datagrams.is_some()
            || self.conversing.is_some()
            || self.openvpn.is_some()
    }

    // --- the end ---

    /// Its endpoints said that it is over.
    pub(crate) fn close(&mut self, reason: EndReason) {
        self.closed = Some(reason);
    }

    /// Which list it belongs in.
    #[inline]
    pub(crate) fn current_standing(&self) -> Standing {
        if self.closed.is_some() {
            Standing::Closed
        } else if self.is_tls() || self.is_tls_in_openvpn() {
            Standing::Tls
        } else if self.has_payload {
            Standing::Plain
        } else {
            Standing::Opening
        }
    }

    /// Read what waits, and write the rows.
    pub(crate) fn end(&mut self, run: &mut Run, reason: EndReason) {
        self.end_stream(run, 0);
        self.end_stream(run, 1);
        self.end_openvpn(run);
        self.end_datagrams(run);
        self.end_session(run);
        self.write(run, self.closed.unwrap_or(reason));
    }

    // --- rows ---

    /// Columns that name the flow, but for `flow_id`.
    pub(crate) fn put_endpoints(&self, table: &mut Table) {
        let client = self.client();
        table.raw(&self.key.addrs[client]);
        table.raw(&self.key.addrs[1 - client]);
        table.u16(self.key.ports[client]);
        table.u16(self.key.ports[1 - client]);
        for layer in self.vlan {
            table.u16(layer);
        }
        table.u8(self.key.protocol);
    }

    /// Columns that say how far it has come.
    pub(crate) fn put_so_far(&self, packet_number: u64, table: &mut Table) {
        table.u64(packet_number);
        table.i64(self.start_ns);
        self.put_totals(table);
    }

    fn put_totals(&self, table: &mut Table) {
        let client = self.client();
        table.u64(self.sides[client].packets);
        table.u64(self.sides[1 - client].packets);
        table.u64(self.sides[client].bytes);
        table.u64(self.sides[1 - client].bytes);
    }

    fn write(&self, run: &mut Run, reason: EndReason) {
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

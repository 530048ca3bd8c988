//! One TCP connection, exchange of UDP datagrams or EAP conversation: both directions and what is known of it. Kept small,
//! since a span port shows millions.
//!
//! The methods of [`Flow`] live in the module of their concern: `tcp` (segments), `stream` (bytes in order), `record` (TLS
//! records), `datagram` (DTLS records), `openvpn` (TLS in its control channel), `eap` (TLS in pieces), `session` (who
//! seals, and whether it is TLS), `handshake` (hellos), `heartbeat` (messages), `flow_row` and `heartbeat_row` (what is told).

use crate::datagram::Datagrams;
use crate::dialogue::{Dialogue, DIALOGUE_BYTES};
use crate::eap::{Conversing, Eap, CONVERSING_BYTES};
use crate::flow_key::Key;
use crate::flow_table::Place;
use crate::handshake::{Hello, NO_SUITE, NO_VERSION};
use crate::heartbeat::Heartbeats;
use crate::hello::FULL_FRAGMENT;
use crate::layers::Carried;
use crate::network::{PROTOCOL_EAPOL, PROTOCOL_UDP};
use crate::openvpn::OpenVpn;
use crate::openvpn_packet::is_data;
use crate::record::Mode;
use crate::rows::Table;
use crate::run::Run;
use crate::session::{TRANSPORT_DTLS, TRANSPORT_TLS};
use crate::side::Side;
use crate::transport::SYN;
use crate::upgrade_words::TlsStart;

/// The extension of a hello that was not captured.
pub(crate) const NOT_SEEN: i16 = -2;

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
    pub(crate) closed: Option<EndReason>,
    /// Which side began the end.
    pub(crate) first_fin: Option<u8>,
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

    fn checkpoint(&mut self, run: &mut Run) {
        let lived_ns = run.time_ns.saturating_sub(self.start_ns);
        if lived_ns < run.limits.checkpoint_ns {
            return;
        }
        let due = u32::try_from(lived_ns / run.limits.checkpoint_ns.max(1)).unwrap_or(u32::MAX);
        if due > self.checkpoints {
            self.checkpoints = due;
            self.write_row(run, EndReason::Checkpoint);
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
        self.write_row(run, self.closed.unwrap_or(reason));
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

    pub(crate) fn put_totals(&self, table: &mut Table) {
        let client = self.client();
        table.u64(self.sides[client].packets);
        table.u64(self.sides[1 - client].packets);
        table.u64(self.sides[client].bytes);
        table.u64(self.sides[1 - client].bytes);
    }
}

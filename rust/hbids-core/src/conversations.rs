//! Which EAP conversation a packet belongs to: see `hbids/decode/reference/conversations.py` for what tells.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hash;

use ahash::RandomState;
use hashbrown::HashMap;

use crate::eap::{Eap, IDENTITY};
use crate::eapol::GROUP_ADDRESS;
use crate::layers::{Address, Datagram, Eapol};
use crate::network::{PROTOCOL_EAPOL, PROTOCOL_UDP};
use crate::radius::{may_be_radius, read_radius, Radius};
use crate::run::{Limits, Run};

/// An EAP packet with its place in a conversation.
pub(crate) struct EapPacket<'a> {
    pub(crate) source: Endpoint,
    pub(crate) target: Endpoint,
    pub(crate) vlan: [u16; 3],
    pub(crate) ttl: Option<u8>,
    pub(crate) protocol: u8,
    pub(crate) conversation: u32,
    pub(crate) eap: Eap<'a>,
}

type Endpoint = (Address, u16);

/// Its ends, and its number, which tells apart those between the same ends: 0 for EAPOL, where nothing else does.
#[derive(Clone, Copy)]
struct Conversation {
    client: Endpoint,
    server: Endpoint,
    number: u32,
}

impl Conversation {
    fn packet<'a>(&self, eap: Eap<'a>, vlan: [u16; 3], ttl: Option<u8>, protocol: u8) -> EapPacket<'a> {
        let (source, target) =
            if eap.is_from_client() { (self.client, self.server) } else { (self.server, self.client) };
        EapPacket { source, target, vlan, ttl, protocol, conversation: self.number, eap }
    }
}

/// What a clue is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// Of RADIUS, with the port of the access server.
    Identifier,
    /// An access request without State: its identifier and authenticator.
    Request,
    State,
    Caller,
    /// The identifier of EAP that comes next, with the port of the access server.
    Turn,
    Supplicant,
    /// With its VLANs, as is the next.
    Authenticator,
    /// Who was asked at the group address last.
    Group,
}

const NOBODY: Endpoint = ([0; 16], 0);

/// Something in a packet that only packets of one conversation have, between these hosts. Of it only hashes are kept, by
/// two random keys: so nobody finds two that have both in common.
type Clue = [u64; 2];

/// What a clue leads to, and its place in the order.
struct Known {
    conversation: Conversation,
    number: u64,
}

/// All conversations known by their clues. The clock is that of these packets; it never goes back.
pub(crate) struct Conversations {
    known: HashMap<Clue, Known, RandomState>,
    /// Clues in the order of their last packets, with its time.
    order: BTreeMap<u64, (Clue, i64)>,
    notes: u64,
    clock_ns: i64,
    conversations: u32,
    radius_ports: Vec<u16>,
    hashers: [RandomState; 2],
}

impl Conversations {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            known: HashMap::with_hasher(RandomState::new()),
            order: BTreeMap::new(),
            notes: 0,
            clock_ns: 0,
            conversations: 0,
            radius_ports: limits.radius_ports.clone(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// What comes is another capture.
    pub(crate) fn finish(&mut self) {
        self.known.clear();
        self.order.clear();
        self.clock_ns = 0;
    }

    /// How many clues it holds.
    pub(crate) fn held_clues(&self) -> u64 {
        self.known.len().max(self.order.len()) as u64
    }

    // --- RADIUS ---

    /// Whether a datagram may be RADIUS with EAP, by its first bytes and ports.
    pub(crate) fn may_have(&self, datagram: &Datagram<'_>) -> bool {
        may_be_radius(datagram.payload(), datagram.length as usize)
            && (self.radius_ports.contains(&datagram.dst_port) || self.radius_ports.contains(&datagram.src_port))
    }

    /// What a datagram carries; `None` when it is not RADIUS with EAP.
    pub(crate) fn of_datagram<'a>(&mut self, run: &mut Run, datagram: &Datagram<'a>) -> Option<EapPacket<'a>> {
        if !self.may_have(datagram) {
            return None;
        }
        let radius = read_radius(datagram.payload(), datagram.length as usize)?;
        self.tick(run);
        let conversation = self.of_radius(run, datagram, &radius);
        Some(conversation.packet(radius.eap, datagram.vlan, Some(datagram.ttl), PROTOCOL_UDP))
    }

    fn of_radius(&mut self, run: &mut Run, datagram: &Datagram<'_>, radius: &Radius<'_>) -> Conversation {
        let (source, target) = ((datagram.src_addr, datagram.src_port), (datagram.dst_addr, datagram.dst_port));
        let (client, server) = if radius.is_request { (source, target) } else { (target, source) };
        let clue = |kind, port: Option<u16>, value: &[u8]| self.clue(kind, client.0, server, &(port, value));
        let identifier = clue(Kind::Identifier, Some(client.1), &[radius.identifier]);
        let state = (!radius.state.is_empty()).then(|| clue(Kind::State, None, radius.state));
        if !radius.is_request {
            let turn = |later| clue(Kind::Turn, Some(client.1), &[radius.eap.identifier.wrapping_add(later)]);
            let [turn, next] = [Some(turn(0)), Some(turn(1))];
            if let Some(conversation) = self.find(&[Some(identifier)]) {
                self.note(run, conversation, &[state]);
                return conversation;
            }
            let conversation = self.find(&[state, turn]).unwrap_or_else(|| self.begin(client, server));
            self.note(run, conversation, &[state, turn, next]);
            return conversation;
        }
        let request = [&[radius.identifier], radius.authenticator].concat();
        let certain = state.unwrap_or_else(|| clue(Kind::Request, Some(client.1), &request));
        let caller = (!radius.caller.is_empty()).then(|| clue(Kind::Caller, None, radius.caller));
        let is_first = radius.eap.method == IDENTITY;
        let telling = [Some(certain), caller.filter(|_| !is_first)];
        let conversation = self.find(&telling).unwrap_or_else(|| self.begin(client, server));
        self.note(run, conversation, &[Some(identifier), Some(certain), caller]);
        conversation
    }

    fn begin(&mut self, client: Endpoint, server: Endpoint) -> Conversation {
        self.conversations = self.conversations.wrapping_add(1).max(1);
        Conversation { client, server, number: self.conversations }
    }

    // --- EAPOL ---

    /// What an EAPOL packet carries; `None` when its receiver discards it. A packet that is longer than its frame tells a
    /// lie, unless the capture cut the frame.
    pub(crate) fn of_eapol<'a>(
        &mut self,
        run: &mut Run,
        packet: &Eapol<'a>,
        is_frame_whole: bool,
    ) -> Option<EapPacket<'a>> {
        let eap = Eap::read(Cow::Borrowed(packet.payload), packet.length);
        let Some(eap) = eap.filter(|_| !is_frame_whole || packet.payload.len() == packet.length) else {
            run.counters.eap_malformed += 1;
            return None;
        };
        self.tick(run);
        Some(self.between_stations(run, packet, &eap).packet(eap, packet.vlan, None, PROTOCOL_EAPOL))
    }

    fn between_stations(&mut self, run: &mut Run, packet: &Eapol<'_>, eap: &Eap<'_>) -> Conversation {
        let supplicant = |this: &Self, addr| Some(this.clue(Kind::Supplicant, addr, NOBODY, &()));
        let authenticator = |this: &Self, addr| Some(this.clue(Kind::Authenticator, NOBODY.0, (addr, 0), &packet.vlan));
        let group = Some(self.clue(Kind::Group, NOBODY.0, NOBODY, &packet.vlan));
        let (sender, target) = (packet.src_addr, packet.dst_addr);
        let between = |client, server| Conversation { client: (client, 0), server: (server, 0), number: 0 };
        let conversation = match (eap.is_from_client(), target == GROUP_ADDRESS) {
            (true, false) => between(sender, target),
            (true, true) => {
                let heard = self.find(&[supplicant(self, sender), group]);
                between(sender, heard.map_or(GROUP_ADDRESS, |heard| heard.server.0))
            }
            (false, false) => between(target, sender),
            (false, true) => {
                let known = self.find(&[authenticator(self, sender)]);
                let conversation = known.unwrap_or_else(|| between(GROUP_ADDRESS, sender));
                self.note(run, conversation, &[group]);
                conversation
            }
        };
        let (client, server) = (conversation.client.0, conversation.server.0);
        if client != GROUP_ADDRESS && server != GROUP_ADDRESS {
            let clues = [supplicant(self, client), authenticator(self, server)];
            self.note(run, conversation, &clues);
        }
        conversation
    }

    // --- clues ---

    fn clue(&self, kind: Kind, client_addr: Address, server: Endpoint, value: &impl Hash) -> Clue {
        self.hashers.each_ref().map(|hasher| hasher.hash_one((kind, client_addr, server, value)))
    }

    /// The conversation of the first clue that is known.
    fn find(&self, clues: &[Option<Clue>]) -> Option<Conversation> {
        clues.iter().flatten().find_map(|clue| self.known.get(clue)).map(|known| known.conversation)
    }

    fn note(&mut self, run: &mut Run, conversation: Conversation, clues: &[Option<Clue>]) {
        for clue in clues.iter().flatten() {
            self.notes += 1;
            self.order.insert(self.notes, (*clue, self.clock_ns));
            if let Some(before) = self.known.insert(*clue, Known { conversation, number: self.notes }) {
                self.order.remove(&before.number);
            }
            if self.known.len() as u64 > run.limits.eap_clues {
                run.counters.eap_clues_evicted += 1;
                self.forget_oldest();
            }
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, (clue, _))) = self.order.pop_first() {
            self.known.remove(&clue);
        }
    }

    fn tick(&mut self, run: &Run) {
        self.clock_ns = self.clock_ns.max(run.time_ns);
        while let Some((_, (_, noted_ns))) = self.order.first_key_value() {
            if noted_ns.saturating_add(run.limits.eap_clue_timeout_ns) > self.clock_ns {
                return;
            }
            self.forget_oldest();
        }
    }
}

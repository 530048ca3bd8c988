//! Packets of OpenVPN's control channel: see `hbids/decode/reference/openvpn_packet.py` for what is believed.

use crate::record::{is_first_header, HEADER_BYTES};

const SOFT_RESET_V1: u8 = 3;
const CONTROL_V1: u8 = 4;
const ACK_V1: u8 = 5;
const DATA_V1: u8 = 6;
const DATA_V2: u8 = 9;
const HARD_RESET_CLIENT_V3: u8 = 10;
const CONTROL_WKC_V1: u8 = 11;

pub(crate) const SESSION_ID_BYTES: usize = 8;
/// Opcode and session id.
pub(crate) const LEAST_BYTES: usize = 1 + SESSION_ID_BYTES;
const ID_BYTES: usize = 4;
/// In front of each packet in TCP.
pub(crate) const LENGTH_BYTES: usize = 2;
/// OpenVPN takes no packet with more.
const MOST_ACKS: u8 = 8;
const REPLAY_BYTES: usize = 8;
/// What tls-auth may put behind the session id: nothing, or an HMAC and replay id.
const WRAPS: [u8; 7] = [0, 24, 28, 36, 40, 56, 72];
/// A larger id is no evidence.
const MOST_NEW_ID: u32 = (1 << 24) - 1;
/// Of the first packet of a TCP direction.
const MOST_FIRST_BYTES: u16 = 0x5FF;
const LEAST_SEALED_BYTES: usize = LEAST_BYTES + REPLAY_BYTES + 32 + 1 + ID_BYTES;
const MOST_SEALED_REPLAY_ID: u32 = 0xFFFF;
/// High half of the replay id where tls-crypt-v2 negotiates early.
const EARLY_NEGOTIATION: u32 = 0x0F00;

pub(crate) type SessionId = [u8; SESSION_ID_BYTES];

pub(crate) fn is_hard_reset_of_client(opcode: u8) -> bool {
    matches!(opcode, 1 | 7 | HARD_RESET_CLIENT_V3)
}

pub(crate) fn is_hard_reset(opcode: u8) -> bool {
    is_hard_reset_of_client(opcode) || matches!(opcode, 2 | 8)
}

fn is_reset(opcode: u8) -> bool {
    is_hard_reset(opcode) || opcode == SOFT_RESET_V1
}

/// How a packet of the control channel may begin. A hard reset makes key 0, a soft one any other. No record of DTLS that
/// is read begins so: neither can hide behind the other.
pub(crate) fn is_control(first: u8) -> bool {
    may_open(first) || matches!(first >> 3, ACK_V1 | CONTROL_WKC_V1)
}

/// How a packet may begin that is the first one seen of its session.
pub(crate) fn may_open(first: u8) -> bool {
    match first >> 3 {
        CONTROL_V1 => true,
        SOFT_RESET_V1 => first & 7 != 0,
        opcode => is_hard_reset(opcode) && first & 7 == 0,
    }
}

/// Whether a packet that begins so is of the data channel.
pub(crate) fn is_data(first: u8) -> bool {
    matches!(first >> 3, DATA_V1 | DATA_V2)
}

/// Whether a segment may begin with the first packet seen of its direction, its length in front.
pub(crate) fn may_begin(segment: &[u8]) -> bool {
    match segment {
        [high] => u16::from(*high) <= MOST_FIRST_BYTES >> 8,
        [high, low, rest @ ..] => {
            let length = u16::from_be_bytes([*high, *low]);
            length <= MOST_FIRST_BYTES
                && usize::from(length) >= LEAST_BYTES
                && rest.first().is_none_or(|first| may_open(*first))
        }
        [] => false,
    }
}

/// The sender's session.
pub(crate) fn session_id(data: &[u8]) -> Option<SessionId> {
    data.get(1..)?.first_chunk().copied()
}

fn number(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A packet's header.
pub(crate) struct ControlPacket<'a> {
    pub(crate) opcode: u8,
    pub(crate) key_id: u8,
    pub(crate) session_id: SessionId,
    acks: &'a [u8],
    /// The receiver's session; none without acknowledgements.
    pub(crate) remote_id: Option<SessionId>,
    /// None: it only acknowledges.
    pub(crate) packet_id: Option<u32>,
    pub(crate) payload_at: usize,
}

impl<'a> ControlPacket<'a> {
    /// Read a packet whose first byte `is_control`; None when it makes no sense in clear, or with so many bytes of
    /// tls-auth.
    pub(crate) fn read(data: &'a [u8], wrap_bytes: u8) -> Option<Self> {
        let session_id = session_id(data)?;
        let (opcode, key_id) = (data[0] >> 3, data[0] & 7);
        let count_at = LEAST_BYTES + usize::from(wrap_bytes);
        let count = *data.get(count_at)?;
        if matches!(opcode, HARD_RESET_CLIENT_V3 | CONTROL_WKC_V1) || count > MOST_ACKS {
            return None; // the former two are always sealed
        }
        let mut at = count_at + 1;
        let acks = data.get(at..at + usize::from(count) * ID_BYTES)?;
        at += acks.len();
        let mut remote_id = None;
        if count > 0 {
            remote_id = Some(*data.get(at..)?.first_chunk()?);
            at += SESSION_ID_BYTES;
        }
        let mut packet_id = None;
        if opcode != ACK_V1 {
            packet_id = Some(number(data, at)?);
            at += ID_BYTES;
        }
        if is_reset(opcode) && packet_id != Some(0) {
            return None;
        }
        Some(Self { opcode, key_id, session_id, acks, remote_id, packet_id, payload_at: at })
    }

    /// Ids of packets that the sender has.
    pub(crate) fn acks(&self) -> impl Iterator<Item = u32> + 'a {
        self.acks.chunks_exact(ID_BYTES).filter_map(|id| id.first_chunk().map(|id| u32::from_be_bytes(*id)))
    }

    /// Whether it has an id, and none of its ids is too large to be evidence.
    fn has_small_numbers(&self, data: &[u8], wrap_bytes: u8) -> bool {
        let is_replay_id = |id: u32| (1..=MOST_NEW_ID).contains(&id);
        let replay_at = LEAST_BYTES + usize::from(wrap_bytes);
        self.packet_id.is_some_and(|id| id <= MOST_NEW_ID)
            && self.acks().all(|id| id <= MOST_NEW_ID)
            && (wrap_bytes == 0 || number(data, replay_at - REPLAY_BYTES).is_some_and(is_replay_id))
    }
}

/// How many bytes of tls-auth this packet has, `length` bytes on the wire, and what it says, if that can be believed
/// without knowing its session; `is_receiver` knows sessions of the other side.
pub(crate) fn recognise(
    data: &[u8],
    length: usize,
    is_receiver: impl Fn(&SessionId) -> bool,
) -> Option<(u8, ControlPacket<'_>)> {
    WRAPS.into_iter().find_map(|wrap_bytes| {
        let packet = ControlPacket::read(data, wrap_bytes)?;
        let believed = packet.has_small_numbers(data, wrap_bytes)
            && (is_reset(packet.opcode) && packet.payload_at == length
                || packet.remote_id.as_ref().is_some_and(&is_receiver)
                || are_records(&data[packet.payload_at..]));
        believed.then_some((wrap_bytes, packet))
    })
}

/// Whether a packet may be the first one seen of its flow. What is not costs no memory.
pub(crate) fn may_be_first(data: &[u8], length: usize) -> bool {
    let Some(first) = data.first().filter(|first| may_open(**first)) else {
        return false;
    };
    recognise(data, length, |_| false).is_some()
        || (is_hard_reset(first >> 3) && replay_id_of_sealed(data, length).is_some())
}

/// Whether a payload is records from its first byte on; the last may go on in the next.
fn are_records(payload: &[u8]) -> bool {
    let mut at = 0;
    while let Some(header) = payload.get(at..).and_then(|rest| rest.first_chunk::<HEADER_BYTES>()) {
        if !is_first_header(header) {
            return false;
        }
        at += HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]]));
    }
    at > 0 && payload.get(at..).is_none_or(|rest| rest.is_empty() || is_first_header(rest))
}

/// The replay id of a packet that tls-crypt may have sealed; None when it cannot have been.
pub(crate) fn replay_id_of_sealed(data: &[u8], length: usize) -> Option<u32> {
    let id = number(data, LEAST_BYTES).filter(|_| length >= LEAST_SEALED_BYTES)?;
    ((1..=MOST_SEALED_REPLAY_ID).contains(&id) || id >> 16 == EARLY_NEGOTIATION).then_some(id)
}

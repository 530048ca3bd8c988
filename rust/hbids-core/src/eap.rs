//! EAP packets, and the TLS that some methods carry in pieces: see `hbids/decode/reference/eap.py` for the rules.

use std::borrow::Cow;
use std::ops::Range;

use crate::flow::{EndReason, Flow};
use crate::layers::{be16, rest};
use crate::record::may_be_client_hello;
use crate::run::Run;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;
pub(crate) const IDENTITY: u8 = 1;
const TEAP: u8 = 55;
const TLS_METHODS: [u8; 5] = [13, 21, 25, 43, TEAP];
const HAS_LENGTH: u8 = 0x80;
const IS_START: u8 = 0x20;
const HAS_OUTER_TLVS: u8 = 0x10;
const HEADER_BYTES: usize = 4;
const LENGTH_BYTES: usize = 4;
/// What knowing who said what last takes, as the allocator rounds it.
pub(crate) const CONVERSING_BYTES: u64 = 64;
/// Identifiers count modulo 256: what seems to lie further ahead lies behind.
const MOST_LOST: u8 = 127;

/// An EAP packet as captured.
pub(crate) struct Eap<'a> {
    code: u8,
    pub(crate) identifier: u8,
    /// 0 where there is none: in Success and Failure.
    pub(crate) method: u8,
    /// The server begins a method that carries TLS.
    is_start: bool,
    raw: Cow<'a, [u8]>,
    /// Where in `raw` the piece of TLS lies, as far as it was captured.
    piece: Range<usize>,
    /// Of the piece.
    length: u32,
}

impl<'a> Eap<'a> {
    /// A packet in `claimed` bytes, which may be more than were captured; what follows its own length is padding. None
    /// when it is not sound: its receiver discards it.
    pub(crate) fn read(mut captured: Cow<'a, [u8]>, claimed: usize) -> Option<Self> {
        let header: [u8; HEADER_BYTES] = *captured.first_chunk()?;
        let (code, packet_bytes) = (header[0], usize::from(be16(&header, 2)?));
        let has_method = code == REQUEST || code == RESPONSE;
        let least = HEADER_BYTES + usize::from(has_method);
        let is_known = (REQUEST..=FAILURE).contains(&code);
        if !is_known || packet_bytes < least || packet_bytes > claimed || captured.len() < least {
            return None;
        }
        match &mut captured {
            Cow::Borrowed(bytes) => *bytes = &bytes[..bytes.len().min(packet_bytes)],
            Cow::Owned(bytes) => bytes.truncate(packet_bytes),
        }
        let method = if has_method { captured[HEADER_BYTES] } else { 0 };
        let mut eap =
            Self { code, identifier: header[1], method, is_start: false, raw: captured, piece: 0..0, length: 0 };
        if TLS_METHODS.contains(&method) {
            let (flags, claimed_piece) = read_piece(method, &eap.raw, least, packet_bytes)?;
            eap.is_start = code == REQUEST && flags & IS_START != 0;
            if !eap.is_start {
                // A start carries no TLS, whatever it carries.
                let there = |at: usize| at.min(eap.raw.len());
                eap.length = u32::try_from(claimed_piece.len()).unwrap_or(u32::MAX);
                eap.piece = there(claimed_piece.start)..there(claimed_piece.end);
            }
        }
        Some(eap)
    }

    fn data(&self) -> &[u8] {
        &self.raw[self.piece.clone()]
    }

    /// Whether the supplicant sent it.
    pub(crate) fn is_from_client(&self) -> bool {
        self.code == RESPONSE
    }

    /// Whether a client's hello begins here.
    fn may_begin_tls(&self) -> bool {
        let data = self.data();
        self.is_from_client() && !data.is_empty() && may_be_client_hello(&data[..data.len().min(6)])
    }

    /// Whether a conversation that begins with this packet was joined after its beginning.
    pub(crate) fn is_midstream(&self) -> bool {
        TLS_METHODS.contains(&self.method) && !self.is_start && !self.may_begin_tls()
    }
}

/// Flags, and where the piece of TLS lies by what is claimed; TEAP may have TLVs of its own behind it.
fn read_piece(method: u8, raw: &[u8], at: usize, end: usize) -> Option<(u8, Range<usize>)> {
    let flags = raw.get(at).copied().unwrap_or(0);
    let mut begin = (at + 1).min(end);
    let mut end = end;
    if flags & HAS_LENGTH != 0 {
        begin += LENGTH_BYTES;
    }
    if method == TEAP && flags & HAS_OUTER_TLVS != 0 {
        let field = rest(raw, begin).iter().take(LENGTH_BYTES);
        let outer_bytes = field.fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        begin += LENGTH_BYTES;
        if begin.saturating_add(outer_bytes) <= end {
            end -= outer_bytes;
        }
    }
    (begin <= end).then_some((flags, begin..end))
}

/// Who said what last in one conversation: which packets bring something new.
#[derive(Default)]
pub(crate) struct Conversing {
    /// Identifier and hash of the last Request.
    request: Option<(u8, u64)>,
    is_answered: bool,
    /// Something was said that stands at the beginning of a conversation, after TLS had begun.
    may_begin_anew: bool,
    has_tls: bool,
    /// Of each side's last packet.
    identifiers: [Option<u8>; 2],
    /// How long each side's last piece was.
    last_bytes: [u32; 2],
}

impl Conversing {
    /// Whether a client's hello follows what begins a conversation: who only says that it begins may go on with the old
    /// one.
    pub(crate) fn is_begun_anew_by(&self, eap: &Eap<'_>) -> bool {
        self.may_begin_anew && eap.may_begin_tls()
    }

    /// Whether a packet is of use to its receiver. A Response counts when it answers the last Request; a Request is a
    /// repetition when all of it is.
    fn takes(&mut self, run: &mut Run, side: usize, eap: &Eap<'_>) -> bool {
        if eap.is_from_client() {
            let is_repeated = match self.request {
                None => self.identifiers[side] == Some(eap.identifier), // only this side was captured
                Some((identifier, _)) if identifier == eap.identifier => self.is_answered,
                Some(_) => {
                    run.counters.eap_unasked += 1;
                    return false;
                }
            };
            run.counters.eap_repeated += u64::from(is_repeated);
            self.is_answered |= !is_repeated;
            return !is_repeated;
        }
        if eap.code == REQUEST {
            let request = Some((eap.identifier, run.hasher.hash_one(&eap.raw)));
            if self.request == request {
                run.counters.eap_repeated += 1;
                return false;
            }
            self.request = request;
            self.is_answered = false;
        }
        true
    }

    /// Note a packet; gives how many bytes are missing before it. Each missing packet is taken to be as long as the one
    /// before: all pieces of a message but the last are.
    fn follow(&mut self, side: usize, eap: &Eap<'_>) -> u64 {
        if eap.is_start {
            self.identifiers = [None; 2];
        }
        let last = self.identifiers[side].replace(eap.identifier);
        let missing = last.map_or(0, |last| eap.identifier.wrapping_sub(last).wrapping_sub(1));
        let bytes_each = std::mem::replace(&mut self.last_bytes[side], eap.length).max(1);
        if missing < MOST_LOST {
            u64::from(missing) * u64::from(bytes_each)
        } else {
            0
        }
    }
}

impl Flow {
    pub(crate) fn eap(&mut self, run: &mut Run, side: usize, eap: &Eap<'_>) {
        self.set_client(if eap.is_from_client() { side } else { 1 - side });
        let Some(mut conversing) = self.conversing.take() else {
            return;
        };
        if conversing.takes(run, side, eap) {
            if eap.code == REQUEST || eap.code == RESPONSE {
                self.piece(run, side, eap, &mut conversing);
            }
            if eap.length > 0 {
                self.reopen();
            } else if eap.code == SUCCESS || eap.code == FAILURE {
                self.close(EndReason::Fin);
            }
        }
        self.has_payload = conversing.has_tls;
        self.conversing = Some(conversing);
    }

    fn piece(&mut self, run: &mut Run, side: usize, eap: &Eap<'_>, conversing: &mut Conversing) {
        let missing = conversing.follow(side, eap);
        self.miss_piece(run, side, missing);
        if eap.is_start || eap.method == IDENTITY {
            conversing.may_begin_anew = conversing.has_tls;
        } else if eap.is_from_client() && !eap.data().is_empty() {
            conversing.may_begin_anew = false;
        }
        if eap.length > 0 {
            conversing.has_tls = true;
            if !eap.data().is_empty() {
                self.feed(run, side, eap.data());
            }
            self.miss_piece(run, side, u64::from(eap.length) - eap.data().len() as u64);
        }
    }

    fn miss_piece(&mut self, run: &mut Run, side: usize, length: u64) {
        if length > 0 {
            self.count_gap(run, side, length);
            self.gap(run, side, length);
        }
    }
}

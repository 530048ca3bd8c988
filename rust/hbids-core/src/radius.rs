//! RADIUS as far as it carries EAP: see `hbids/decode/reference/radius.py`.

use std::borrow::Cow;

use crate::eap::Eap;

const ACCESS_REQUEST: u8 = 1;
const CODES: [u8; 4] = [ACCESS_REQUEST, 2, 3, 11];
const STATE: u8 = 24;
const CALLING_STATION_ID: u8 = 31;
const EAP_MESSAGE: u8 = 79;
const HEADER_BYTES: usize = 20;
const ATTRIBUTE_HEADER_BYTES: usize = 2;
const AUTHENTICATOR_AT: usize = 4;
const MOST_EAP_BYTES: usize = 0xFFFF;

/// A packet with EAP in it, and what tells which conversation it belongs to.
pub(crate) struct Radius<'a> {
    pub(crate) is_request: bool,
    pub(crate) identifier: u8,
    pub(crate) authenticator: &'a [u8],
    /// Empty when absent, as is the next.
    pub(crate) state: &'a [u8],
    /// Calling-Station-Id: the supplicant, as the access server calls it.
    pub(crate) caller: &'a [u8],
    pub(crate) eap: Eap<'a>,
}

/// Whether a datagram may be such a packet, by its first bytes.
pub(crate) fn may_be_radius(payload: &[u8], length: usize) -> bool {
    matches!(payload, [code, _, high, low, ..]
        if CODES.contains(code) && usize::from(u16::from_be_bytes([*high, *low])) == length)
}

/// What a datagram of `length` bytes holds, of which `payload` was captured; none when it is anything but RADIUS to its
/// last byte, with EAP in it, as far as it was captured.
pub(crate) fn read_radius(payload: &[u8], length: usize) -> Option<Radius<'_>> {
    let header: &[u8; HEADER_BYTES] = payload.first_chunk().filter(|_| may_be_radius(payload, length))?;
    let (mut state, mut caller) = (None, None);
    let mut message: Option<Cow<'_, [u8]>> = None;
    let mut at = HEADER_BYTES;
    while let Some([kind, size]) = payload.get(at..at + ATTRIBUTE_HEADER_BYTES) {
        let end = at + usize::from(*size);
        if usize::from(*size) < ATTRIBUTE_HEADER_BYTES || end > length {
            return None;
        }
        let value = &payload[at + ATTRIBUTE_HEADER_BYTES..end.min(payload.len())];
        match *kind {
            EAP_MESSAGE => match &mut message {
                None => message = Some(Cow::Borrowed(value)),
                Some(message) => message.to_mut().extend_from_slice(value),
            },
            STATE => _ = state.get_or_insert(value),
            CALLING_STATION_ID => _ = caller.get_or_insert(value),
            _ => {}
        }
        at = end;
    }
    let is_whole = payload.len() == length;
    if is_whole && at < length {
        return None;
    }
    let message = message?;
    let claimed = if is_whole { message.len() } else { MOST_EAP_BYTES };
    let is_request = header[0] == ACCESS_REQUEST;
    let eap = Eap::read(message, claimed).filter(|eap| eap.is_from_client() == is_request)?;
    Some(Radius {
        is_request,
        identifier: header[1],
        authenticator: &payload[AUTHENTICATOR_AT..HEADER_BYTES],
        state: state.unwrap_or_default(),
        caller: caller.unwrap_or_default(),
        eap,
    })
}

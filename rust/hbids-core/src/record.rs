//! One direction's TLS records, wherever they begin: see `hbids/decode/reference/record.py` for the modes.

use crate::flow::Flow;
use crate::run::Run;
use crate::side::Side;

pub(crate) const HEADER_BYTES: usize = 5;
/// RFC 5246 section 6.2.3: plaintext limit plus what sealing may add.
pub(crate) const MAX_RECORD_BYTES: u16 = 16_384 + 2_048;
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
pub(crate) const HEARTBEAT: u8 = 24;
/// Stands for the content type of a hello in SSLv2 framing (RFC 5246 appendix E.2).
pub(crate) const SSLV2_HELLO: u8 = 0;
pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;

/// What a direction's reader is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Start,
    Plain,
    Header,
    Body,
    Search,
    Guess,
}

/// Whether these up to five bytes can begin a record once TLS is established: versions may lie, only 3.x holds.
fn is_header(seen: &[u8]) -> bool {
    seen.first().is_some_and(|kind| (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(kind))
        && seen.get(1).is_none_or(|major| *major == 3)
}

/// As [`is_header`], for the first record: a length that is allowed. OpenSSL takes any version 3.x here.
fn is_opening(seen: &[u8]) -> bool {
    is_header(seen) && seen.get(3..5).is_none_or(|length| be16(length) <= MAX_RECORD_BYTES)
}

/// As [`is_opening`], where records are searched for: with a version that exists.
pub(crate) fn is_first_header(seen: &[u8]) -> bool {
    is_opening(seen) && seen.get(2).is_none_or(|minor| *minor <= 4)
}

/// Whether these up to five bytes can begin an SSLv2-framed ClientHello for SSLv2 or 3.x.
fn is_sslv2_hello(seen: &[u8]) -> bool {
    seen.first().is_some_and(|byte| byte & 0x80 != 0)
        && seen.get(2).is_none_or(|kind| *kind == CLIENT_HELLO)
        && seen.get(3).is_none_or(|major| *major == 3 || *major == 0)
        && seen.get(3..5).is_none_or(|version| version[0] == 3 || version == [0, 2])
}

/// Whether these up to six bytes can begin a record with a ClientHello, in either framing.
pub(crate) fn may_be_client_hello(seen: &[u8]) -> bool {
    let header = &seen[..seen.len().min(HEADER_BYTES)];
    let is_handshake = is_opening(header) && seen.first() == Some(&HANDSHAKE);
    (is_handshake && seen.get(HEADER_BYTES).is_none_or(|kind| *kind == CLIENT_HELLO)) || is_sslv2_hello(header)
}

fn may_be_header(mode: Mode, seen: &[u8]) -> bool {
    match mode {
        Mode::Header => is_header(seen),
        Mode::Start => is_opening(seen),
        _ => is_first_header(seen),
    }
}

fn be16(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

impl Side {
    /// Whether nothing has been read yet of a stream seen from its first byte.
    pub(crate) fn is_at_first_byte(&self) -> bool {
        self.mode == Mode::Start && self.header_length == 0
    }

    /// Whether nothing is read of the body of the record at hand.
    pub(crate) fn is_skipped(&self) -> bool {
        self.record_type == APPLICATION_DATA || (self.record_type == HANDSHAKE && !self.awaits_hello)
    }

    fn seen_header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_length)]
    }

    fn clear_header(&mut self) {
        self.header_length = 0;
    }

    /// Add bytes to the header, up to `wanted` in all; how many were taken.
    fn collect(&mut self, time_ns: i64, wanted: usize, data: &[u8]) -> usize {
        if self.header_length == 0 {
            self.header_ns = time_ns;
        }
        let have = usize::from(self.header_length);
        let taken = data.len().min(wanted.saturating_sub(have));
        self.header[have..have + taken].copy_from_slice(&data[..taken]);
        self.header_length += u8::try_from(taken).unwrap_or(0);
        taken
    }
}

impl Flow {
    /// The next bytes of a direction; one call is one segment's worth, which PLAIN and SEARCH rely on.
    pub(crate) fn feed(&mut self, run: &mut Run, side: usize, data: &[u8]) {
        let mut rest = data;
        let mut fresh = true; // at the start of a segment
        while !rest.is_empty() {
            let taken = match self.sides[side].mode {
                Mode::Body => self.body(run, side, rest),
                Mode::Start | Mode::Header | Mode::Guess => self.header(run, side, rest),
                Mode::Plain => self.plain(run, side, rest, fresh),
                Mode::Search => self.search(run, side, rest, fresh),
            };
            rest = &rest[taken..];
            fresh = false;
        }
    }

    /// The next `length` bytes of a direction are missing.
    pub(crate) fn gap(&mut self, run: &mut Run, side: usize, length: u64) {
        let own = &mut self.sides[side];
        let mut left = length;
        match own.mode {
            Mode::Plain => {
                own.clear_header();
                if self.plain_gap(side) {
                    self.lose_place(run, side);
                }
                return;
            }
            Mode::Body => {
                let skipped = u32::try_from(left).unwrap_or(u32::MAX).min(own.progress);
                own.progress -= skipped;
                left -= u64::from(skipped);
                let over = own.progress == 0;
                self.record_gap(run, side, skipped);
                if over {
                    self.end_record(run, side);
                }
                if left == 0 {
                    return;
                }
            }
            _ => {}
        }
        self.lose_place(run, side);
    }

    fn body(&mut self, run: &mut Run, side: usize, data: &[u8]) -> usize {
        let own = &mut self.sides[side];
        let taken = data.len().min(own.progress as usize);
        own.progress -= u32::try_from(taken).unwrap_or(0);
        let over = own.progress == 0;
        self.record_body(run, side, &data[..taken]);
        if over {
            self.end_record(run, side);
            if taken == data.len() {
                self.boundary_verified(run);
            }
        }
        taken
    }

    fn end_record(&mut self, run: &mut Run, side: usize) {
        let own = &mut self.sides[side];
        own.mode = Mode::Header;
        own.clear_header();
        self.record_ended(run, side);
    }

    fn header(&mut self, run: &mut Run, side: usize, data: &[u8]) -> usize {
        let own = &mut self.sides[side];
        let taken = own.collect(run.time_ns, HEADER_BYTES, data);
        let believed = own.mode == Mode::Header;
        let seen = own.seen_header();
        let whole = seen.len() == HEADER_BYTES;
        if own.mode == Mode::Start && is_sslv2_hello(seen) {
            if whole {
                let length = be16(&seen[..2]) & 0x7FFF;
                let version = be16(&seen[3..5]);
                self.begin_record(run, side, SSLV2_HELLO, version, length.saturating_sub(3));
            }
        } else if !may_be_header(own.mode, seen) {
            if own.from_first_byte && !self.said_hello {
                if believed {
                    self.not_tls(run, side);
                }
                self.become_plain(run, side);
                return taken;
            }
            if believed {
                run.counters.record_desync += 1;
            }
            self.lose_place(run, side);
        } else if whole {
            if believed {
                self.boundary_verified(run);
            }
            self.begin_with_header(run, side);
        }
        taken
    }

    fn begin_with_header(&mut self, run: &mut Run, side: usize) {
        let header = self.sides[side].header;
        self.begin_record(run, side, header[0], be16(&header[1..3]), be16(&header[3..5]));
    }

    fn begin_record(&mut self, run: &mut Run, side: usize, kind: u8, version: u16, length: u16) {
        if length > MAX_RECORD_BYTES {
            run.counters.record_overlong += 1;
        }
        let own = &mut self.sides[side];
        own.mode = Mode::Body;
        own.progress = u32::from(length);
        self.record_began(run, side, kind, version, length);
        if length == 0 {
            self.end_record(run, side);
        }
    }

    /// Pass plain text and match a hello's first six bytes, over as many segments as it takes.
    fn plain(&mut self, run: &mut Run, side: usize, data: &[u8], fresh: bool) -> usize {
        let wanted = HEADER_BYTES + 1;
        let carried = usize::from(self.sides[side].header_length);
        if fresh && carried == 0 && self.said_hello {
            self.sides[side].mode = Mode::Search;
            return self.search(run, side, data, fresh);
        }
        let mut place = 0;
        if carried == 0 {
            place = self.pass_plain(run, side, data, fresh);
            if place == data.len() {
                return place;
            }
        }
        let taken = self.sides[side].collect(run.time_ns, wanted, &data[place..]);
        if !self.is_hello_start(side, self.sides[side].seen_header()) {
            self.sides[side].header_length -= u8::try_from(taken).unwrap_or(0);
            self.become_plain(run, side);
            return self.plain(run, side, data, fresh);
        }
        let own = &mut self.sides[side];
        if own.seen_header().len() == wanted {
            let message_type = [own.header[HEADER_BYTES]];
            own.header_length = 5;
            self.upgraded(side);
            self.begin_with_header(run, side);
            self.body(run, side, &message_type);
        }
        place + taken
    }

    /// Where in the segment a hello begins, or its end; what comes before is plain text.
    fn pass_plain(&mut self, run: &mut Run, side: usize, data: &[u8], fresh: bool) -> usize {
        if self.is_bulk(side, data.len()) {
            return data.len();
        }
        if fresh && self.is_hello_start(side, &data[..data.len().min(HEADER_BYTES + 1)]) {
            return 0;
        }
        let mut passed = 0;
        if self.may_end_plain_text(side) {
            let mut place = 0;
            while let Some(ahead) = data[place..].iter().position(|byte| *byte == HANDSHAKE) {
                place += ahead;
                let start = &data[place..data.len().min(place + HEADER_BYTES + 1)];
                if is_opening(start) {
                    self.plain_text(run, side, &data[passed..place]);
                    passed = place;
                    if self.ends_plain_text(side) && self.is_hello_start(side, start) {
                        return place;
                    }
                }
                place += 1;
            }
        }
        self.plain_text(run, side, &data[passed..]);
        data.len()
    }

    fn is_hello_start(&self, side: usize, seen: &[u8]) -> bool {
        if !is_opening(seen) || seen.get(3..5) == Some(&[0, 0]) {
            return false;
        }
        let message_type = seen.get(HEADER_BYTES);
        match seen[0] {
            HANDSHAKE => match message_type {
                None => true,
                Some(&CLIENT_HELLO) => self.may_begin_tls(side),
                Some(&SERVER_HELLO) => self.expects_server_hello(side),
                Some(_) => false,
            },
            ALERT | HEARTBEAT => matches!(message_type, None | Some(1 | 2)) && self.agreed().is_some(),
            _ => false,
        }
    }

    /// What was collected is no header, but one may begin within.
    fn become_plain(&mut self, run: &mut Run, side: usize) {
        let own = &mut self.sides[side];
        let header = own.header;
        let (first, rest) = header[..usize::from(own.header_length)].split_at(usize::from(own.header_length.min(1)));
        own.mode = Mode::Plain;
        own.clear_header();
        self.plain_text(run, side, first);
        self.plain(run, side, rest, false);
    }

    fn lose_place(&mut self, run: &mut Run, side: usize) {
        if self.is_tentative && self.client() == side {
            self.not_tls(run, side);
            self.become_plain(run, side);
            return;
        }
        let own = &mut self.sides[side];
        own.mode = Mode::Search;
        own.clear_header();
        own.progress = 0;
        own.from_first_byte = false;
        self.lost_place(run, side);
    }

    fn search(&mut self, run: &mut Run, side: usize, data: &[u8], fresh: bool) -> usize {
        let own = &mut self.sides[side];
        let searched = own.progress;
        let more = searched.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
        if data.len() < HEADER_BYTES {
            if fresh && is_first_header(data) {
                own.mode = Mode::Guess;
                return 0;
            }
            own.progress = more;
            return data.len();
        }
        let places = if u64::from(searched) < run.limits.search_bytes {
            data.len() - HEADER_BYTES + 1
        } else {
            usize::from(fresh)
        };
        for offset in 0..places {
            if self.is_believable(run, data, offset, fresh && offset == 0) {
                let own = &mut self.sides[side];
                own.clear_header();
                own.collect(run.time_ns, HEADER_BYTES, &data[offset..]);
                self.begin_with_header(run, side);
                return offset + HEADER_BYTES;
            }
        }
        self.sides[side].progress = more;
        data.len()
    }

    fn is_believable(&mut self, run: &mut Run, data: &[u8], offset: usize, at_segment_start: bool) -> bool {
        let header = &data[offset..offset + HEADER_BYTES];
        if !is_first_header(header) {
            return false;
        }
        let (kind, length) = (header[0], be16(&header[3..5]));
        if kind == CHANGE_CIPHER_SPEC && length != 1 {
            return false;
        }
        let end = offset + HEADER_BYTES + usize::from(length);
        if end <= data.len() {
            let rest = &data[end..];
            if rest.is_empty() || is_first_header(&rest[..rest.len().min(3)]) {
                self.boundary_verified(run);
                return true;
            }
            return false;
        }
        at_segment_start || (self.said_hello && (kind == APPLICATION_DATA || kind == HEARTBEAT))
    }
}

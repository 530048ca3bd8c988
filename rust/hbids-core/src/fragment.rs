//! IP fragments, put together: see `hbids/decode/reference/fragment.py` for the rules.

use std::collections::BTreeMap;

use ahash::RandomState;
use hashbrown::HashMap;

use crate::layers::{rest, Fragment, FragmentKey};
use crate::run::Run;

/// What is needed beside the bytes themselves, as measured.
const PACKET_OVERHEAD_BYTES: u64 = 768;
const PIECE_OVERHEAD_BYTES: u64 = 64;
/// No IP packet without a jumbo option is longer.
const MOST_PAYLOAD_BYTES: usize = 65_535;
/// All fragments but the last are multiples of this.
const UNIT_BYTES: usize = 8;
/// How long a packet put together is remembered; copies of a span port come within milliseconds.
const REPEAT_NS: i64 = 1_000_000_000;

/// The payload of a packet put together: `length` bytes; of `data`, what follows the first byte that a snap length cut
/// off is missing.
#[derive(Clone)]
pub(crate) struct Whole {
    pub(crate) protocol: u8,
    pub(crate) data: Vec<u8>,
    pub(crate) length: usize,
}

struct Piece {
    end: usize,
    data: Vec<u8>,
}

/// The fragments of one packet so far, without overlaps, by their first byte.
struct Parts {
    key: FragmentKey,
    started_ns: i64,
    header_right: bool,
    pieces: BTreeMap<usize, Piece>,
    protocol: u8,
    covered: usize,
    total: Option<usize>,
    held_bytes: u64,
}

impl Parts {
    fn new(key: FragmentKey) -> Self {
        Self {
            key,
            started_ns: 0,
            header_right: false,
            pieces: BTreeMap::new(),
            protocol: 0,
            covered: 0,
            total: None,
            held_bytes: PACKET_OVERHEAD_BYTES,
        }
    }

    /// Whether a fragment agrees with what is known of the end.
    fn fits(&self, end: usize, more: bool) -> bool {
        match self.total {
            Some(total) if more => end <= total,
            Some(total) => end == total,
            None => more || self.pieces.last_key_value().is_none_or(|(_, last)| last.end <= end),
        }
    }

    /// The parts of a range that nothing covers yet.
    fn uncovered(&self, mut start: usize, end: usize) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        if let Some((_, before)) = self.pieces.range(..start).next_back() {
            start = start.max(before.end);
        }
        for (at, piece) in self.pieces.range(start..end.max(start)) {
            if start < *at {
                parts.push((start, *at));
            }
            start = piece.end;
        }
        if start < end {
            parts.push((start, end));
        }
        parts
    }

    /// Take what is new; gives how many bytes that are.
    fn add(&mut self, fragment: &Fragment<'_>, length: usize) -> usize {
        let start = fragment.offset;
        self.header_right = fragment.walk.header_right;
        if start == 0 && !self.pieces.contains_key(&0) {
            self.protocol = fragment.protocol;
        }
        if !fragment.more {
            self.total = Some(start + length);
        }
        let mut added = 0;
        for (at, until) in self.uncovered(start, start + length) {
            let captured = rest(fragment.payload, at - start);
            let data = captured[..captured.len().min(until - at)].to_vec();
            self.held_bytes += data.len() as u64 + PIECE_OVERHEAD_BYTES;
            self.pieces.insert(at, Piece { end: until, data });
            added += until - at;
        }
        self.covered += added;
        added
    }

    /// The packet, once nothing is missing.
    fn whole(&self) -> Option<Whole> {
        let length = self.total.filter(|total| *total == self.covered)?;
        let mut data = Vec::with_capacity(length);
        for (at, piece) in &self.pieces {
            data.extend_from_slice(&piece.data);
            if piece.data.len() < piece.end - at {
                break;
            }
        }
        Some(Whole { protocol: self.protocol, data, length })
    }
}

/// A packet already put together, and those of its fragments that came again.
struct Remembered {
    ended_ns: i64,
    whole: Whole,
    again: Parts,
}

impl Remembered {
    fn held_bytes(&self) -> u64 {
        self.whole.data.len() as u64 + self.again.held_bytes
    }

    /// Note a copy.
    fn repeat(&mut self, fragment: &Fragment<'_>, length: usize) {
        self.again.add(fragment, length);
        if self.again.whole().is_some() {
            self.again = Parts::new(fragment.key);
        }
    }

    fn has(&self, fragment: &Fragment<'_>, length: usize) -> bool {
        let end = fragment.offset + length;
        let kept = rest(&self.whole.data, fragment.offset);
        let at_end = end == self.whole.length;
        at_end != fragment.more
            && kept[..kept.len().min(length)] == fragment.payload[..fragment.payload.len().min(length)]
    }
}

/// Fragments that wait for others, over all hosts. The clock is that of the fragments; it never goes back.
///
/// What waits and what is remembered stand in the order in which they came to be; the numbers in `waiting_at` and
/// `remembered_at` say where a key has its place.
pub(crate) struct Fragments {
    waiting: BTreeMap<u64, Parts>,
    waiting_at: HashMap<FragmentKey, u64, RandomState>,
    remembered: BTreeMap<u64, Remembered>,
    remembered_at: HashMap<FragmentKey, u64, RandomState>,
    numbers: u64,
    held_bytes: u64,
    clock_ns: i64,
}

impl Fragments {
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            waiting_at: HashMap::with_hasher(RandomState::new()),
            remembered: BTreeMap::new(),
            remembered_at: HashMap::with_hasher(RandomState::new()),
            numbers: 0,
            held_bytes: 0,
            clock_ns: 0,
        }
    }

    /// Put a fragment to its packet; gives the packet's payload when it was the last one missing.
    pub(crate) fn add(&mut self, run: &mut Run, fragment: &Fragment<'_>) -> Option<Whole> {
        run.counters.fragments += 1;
        self.tick(run);
        // A length that is no multiple of the unit is cut to one, as hosts do.
        let length = if fragment.more { fragment.length / UNIT_BYTES * UNIT_BYTES } else { fragment.length };
        let end = fragment.offset + length;
        if length == 0 || end > MOST_PAYLOAD_BYTES {
            run.counters.fragments_malformed += 1;
            return None;
        }
        if let Some(at) = self.remembered_at.get(&fragment.key).copied() {
            let remembered = self.remembered.get_mut(&at)?;
            if remembered.has(fragment, length) {
                run.counters.fragments_repeated += 1;
                self.held_bytes -= remembered.held_bytes();
                remembered.repeat(fragment, length);
                self.held_bytes += remembered.held_bytes();
                self.make_room(run);
                return None;
            }
            // Another packet of the same identification: what looked like copies of the old one belongs to it.
            if let Some(remembered) = self.forget(at) {
                self.begin(remembered.again);
            }
        }
        let waiting = self.waiting_at.get(&fragment.key).copied();
        let at = waiting.unwrap_or_else(|| self.begin(Parts::new(fragment.key)));
        let at = self.preferring_right_headers(run, at, fragment)?;
        let parts = self.waiting.get_mut(&at)?;
        if !parts.fits(end, fragment.more) {
            run.counters.fragments_malformed += 1;
            return None;
        }
        self.held_bytes -= parts.held_bytes;
        let added = parts.add(fragment, length);
        self.held_bytes += parts.held_bytes;
        if added == 0 {
            run.counters.fragments_repeated += 1;
        } else if added < length {
            run.counters.fragments_overlapping += 1;
        }
        let whole = parts.whole();
        if let Some(whole) = &whole {
            run.counters.packets_reassembled += 1;
            self.drop_parts(at);
            self.remember(fragment.key, whole.clone());
        }
        self.make_room(run);
        whole
    }

    /// Where the packet is, of which fragments with a wrong header checksum are part only while it has no others.
    fn preferring_right_headers(&mut self, run: &mut Run, at: u64, fragment: &Fragment<'_>) -> Option<u64> {
        let parts = self.waiting.get(&at)?;
        if fragment.walk.header_right && !parts.header_right && !parts.pieces.is_empty() {
            run.counters.fragments_refused += parts.pieces.len() as u64;
            self.drop_parts(at);
            return Some(self.begin(Parts::new(fragment.key)));
        }
        if parts.header_right && !fragment.walk.header_right {
            run.counters.fragments_refused += 1;
            return None;
        }
        Some(at)
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self, run: &mut Run) {
        run.counters.packets_incomplete += self.waiting.len() as u64;
        *self = Self::new();
    }

    /// Packets and bytes held, counted anew.
    pub(crate) fn held(&self) -> (u64, u64) {
        let packets = self.waiting.len() + self.remembered.len();
        let waiting: u64 = self.waiting.values().map(|parts| parts.held_bytes).sum();
        (packets as u64, waiting + self.remembered.values().map(Remembered::held_bytes).sum::<u64>())
    }

    fn tick(&mut self, run: &mut Run) {
        self.clock_ns = self.clock_ns.max(run.time_ns);
        while let Some((at, parts)) = self.waiting.first_key_value() {
            if parts.started_ns.saturating_add(run.limits.fragment_timeout_ns) > self.clock_ns {
                break;
            }
            run.counters.packets_incomplete += 1;
            self.drop_parts(*at);
        }
        while let Some((at, remembered)) = self.remembered.first_key_value() {
            if remembered.ended_ns.saturating_add(REPEAT_NS) > self.clock_ns {
                break;
            }
            self.forget(*at);
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn begin(&mut self, mut parts: Parts) -> u64 {
        let at = self.number();
        parts.started_ns = self.clock_ns;
        self.held_bytes += parts.held_bytes;
        self.waiting_at.insert(parts.key, at);
        self.waiting.insert(at, parts);
        at
    }

    fn drop_parts(&mut self, at: u64) {
        if let Some(parts) = self.waiting.remove(&at) {
            self.waiting_at.remove(&parts.key);
            self.held_bytes -= parts.held_bytes;
        }
    }

    fn remember(&mut self, key: FragmentKey, whole: Whole) {
        let at = self.number();
        let remembered = Remembered { ended_ns: self.clock_ns, whole, again: Parts::new(key) };
        self.held_bytes += remembered.held_bytes();
        self.remembered_at.insert(key, at);
        self.remembered.insert(at, remembered);
    }

    fn forget(&mut self, at: u64) -> Option<Remembered> {
        let remembered = self.remembered.remove(&at)?;
        self.remembered_at.remove(&remembered.again.key);
        self.held_bytes -= remembered.held_bytes();
        Some(remembered)
    }

    /// What is done goes before what waits, and what waited longest goes first.
    fn make_room(&mut self, run: &mut Run) {
        while (self.waiting.len() + self.remembered.len()) as u64 > run.limits.fragments
            || self.held_bytes > run.limits.fragment_bytes
        {
            if let Some(at) = self.remembered.first_key_value().map(|(at, _)| *at) {
                self.forget(at);
            } else if let Some(at) = self.waiting.first_key_value().map(|(at, _)| *at) {
                run.counters.packets_evicted += 1;
                self.drop_parts(at);
            } else {
                return;
            }
        }
    }
}

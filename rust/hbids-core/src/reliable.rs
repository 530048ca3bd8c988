//! One direction of OpenVPN's control channel, back in order: see `hbids/decode/reference/reliable.py` for the policy.

use crate::run::Run;
use crate::stream::{distance, PIECE_OVERHEAD_BYTES};

/// Packets a receiver holds: as OpenVPN before 2.6 does, and no later one runs with a vulnerable OpenSSL.
const WINDOW: i32 = 8;
/// Packets set aside: senders have fewer on the way.
const MOST_ASIDE: usize = 16;
const NO_HOLE: u32 = 1 << 31;

/// Who reads the bytes.
pub(crate) trait Reader {
    fn run(&mut self) -> &mut Run;
    fn feed(&mut self, data: &[u8]);
    fn gap(&mut self, length: u64);
}

/// What a packet carries. `data` may be shorter than `length` (snap length).
struct Chunk {
    packet_id: u32,
    length: u32,
    data: Box<[u8]>,
}

impl Chunk {
    /// What is charged while it waits.
    fn cost(&self) -> u64 {
        self.data.len() as u64 + PIECE_OVERHEAD_BYTES
    }
}

/// Puts packets in order and hands their bytes to a reader.
#[derive(Default)]
pub(crate) struct Reliable {
    /// In order.
    waiting: Vec<Chunk>,
    /// As they came.
    aside: Vec<Chunk>,
    waiting_bytes: u64,
    /// When it was known that the next packet is missing.
    hole_since_ns: i64,
    next_id: u32,
    last_length: u32,
    pub(crate) gaps: u32,
    /// The receiver has so many packets from the next one on,
    acked_run: u32,
    /// and, by bits, those within its window.
    acked: u8,
    started: bool,
    ack_seen: bool,
}

impl Reliable {
    /// The first packet expected.
    pub(crate) fn start(&mut self, packet_id: u32) {
        self.started = true;
        self.next_id = packet_id;
    }

    /// The receiver has this packet, and so all that lie before its window.
    pub(crate) fn acknowledge(&mut self, reader: &mut impl Reader, packet_id: u32) {
        self.ack_seen = true;
        if !self.started {
            return;
        }
        let (was_acked, ahead) = (self.is_next_acked(), self.ahead(packet_id));
        self.acked_run = self.acked_run.max(u32::try_from(ahead.saturating_sub(WINDOW - 1)).unwrap_or(0));
        if (0..WINDOW).contains(&ahead) {
            self.acked |= 1 << ahead;
        }
        if self.is_next_acked() && !was_acked && self.waiting.is_empty() {
            self.hole_since_ns = reader.run().time_ns;
        }
        if let Some(at) = self.place_aside(packet_id).filter(|_| ahead >= 0) {
            let chunk = self.take_aside(reader.run(), at);
            self.put(reader, chunk);
        }
    }

    /// Take a packet.
    pub(crate) fn packet(&mut self, reader: &mut impl Reader, packet_id: u32, data: &[u8], length: u32) {
        while self.lies_beyond(packet_id) && self.is_next_acked() {
            self.skip_acked(reader);
        }
        if self.ahead(packet_id) < 0 || self.waits(packet_id) {
            reader.run().counters.openvpn_packets_repeated += 1;
            return;
        }
        if let Some(at) = self.place_aside(packet_id) {
            self.forget_aside(reader.run(), at);
        }
        if self.lies_beyond(packet_id) {
            self.put_aside(reader, Chunk { packet_id, length, data: data.into() });
        } else if self.ahead(packet_id) == 0 {
            self.deliver(reader, data, length);
            self.drain(reader);
        } else {
            self.put(reader, Chunk { packet_id, length, data: data.into() });
        }
    }

    /// Give up the first hole if it has been open for too long.
    pub(crate) fn check_hole(&mut self, reader: &mut impl Reader) {
        if self.waiting.is_empty() {
            return;
        }
        let run = reader.run();
        let waited_ns = run.time_ns.saturating_sub(self.hole_since_ns);
        let (acked_wait_ns, wait_ns) = (run.limits.hole_acked_wait_ns, run.limits.hole_wait_ns);
        if self.is_next_acked() {
            if waited_ns >= acked_wait_ns {
                self.skip_acked(reader);
            }
        } else if !self.ack_seen && waited_ns >= wait_ns {
            self.skip_hole(reader);
        }
    }

    /// Whether anything waits.
    pub(crate) fn has_hole(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Counted anew.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting.iter().chain(&self.aside).map(Chunk::cost).sum()
    }

    /// Nothing will come any more: give up every hole. What was set aside is taken where nothing is missing before it:
    /// only acknowledgements are.
    pub(crate) fn end(&mut self, reader: &mut impl Reader) {
        loop {
            if let Some(at) = self.place_aside(self.next_id) {
                let chunk = self.take_aside(reader.run(), at);
                self.put(reader, chunk);
            } else if self.has_hole() {
                self.skip_hole(reader);
            } else {
                break;
            }
        }
        while !self.aside.is_empty() {
            self.forget_aside(reader.run(), 0);
        }
    }

    fn is_next_acked(&self) -> bool {
        self.acked_run > 0 || self.acked & 1 != 0
    }

    fn ahead(&self, packet_id: u32) -> i32 {
        distance(packet_id, self.next_id)
    }

    /// Beyond the receiver's window, as far as anything is known of the receiver.
    fn lies_beyond(&self, packet_id: u32) -> bool {
        self.ack_seen && self.ahead(packet_id) >= WINDOW
    }

    // --- packets in order ---

    fn place(&self, packet_id: u32) -> usize {
        let ahead = self.ahead(packet_id);
        self.waiting.partition_point(|chunk| self.ahead(chunk.packet_id) < ahead)
    }

    fn waits(&self, packet_id: u32) -> bool {
        self.waiting.get(self.place(packet_id)).is_some_and(|chunk| chunk.packet_id == packet_id)
    }

    fn put(&mut self, reader: &mut impl Reader, chunk: Chunk) {
        if self.ahead(chunk.packet_id) > 0 {
            self.wait(reader, chunk);
            self.check_hole(reader);
        } else {
            self.deliver(reader, &chunk.data, chunk.length);
            self.drain(reader);
        }
    }

    fn wait(&mut self, reader: &mut impl Reader, chunk: Chunk) {
        if self.waiting.is_empty() && !self.is_next_acked() {
            self.hole_since_ns = reader.run().time_ns;
        }
        self.charge(reader.run(), &chunk);
        self.waiting.insert(self.place(chunk.packet_id), chunk);
        self.make_room(reader);
    }

    /// Deliver what is in order now.
    fn drain(&mut self, reader: &mut impl Reader) {
        while self.waiting.first().is_some_and(|chunk| chunk.packet_id == self.next_id) {
            let chunk = self.waiting.remove(0);
            self.discharge(reader.run(), &chunk);
            self.deliver(reader, &chunk.data, chunk.length);
        }
    }

    fn deliver(&mut self, reader: &mut impl Reader, data: &[u8], length: u32) {
        self.advance(reader.run(), 1);
        if !data.is_empty() {
            reader.feed(data);
        }
        let missing = u64::from(length).saturating_sub(data.len() as u64);
        if missing > 0 {
            reader.gap(missing);
        }
        if length > 0 {
            self.last_length = length;
        }
    }

    fn advance(&mut self, run: &Run, packets: u32) {
        self.next_id = self.next_id.wrapping_add(packets);
        self.acked_run = self.acked_run.saturating_sub(packets);
        self.acked = self.acked.checked_shr(packets).unwrap_or(0);
        self.hole_since_ns = run.time_ns;
    }

    // --- packets that are missing ---

    /// How many packets are missing before the first one that waits.
    fn hole(&self) -> u32 {
        self.waiting.first().map_or(NO_HOLE, |first| self.ahead(first.packet_id).unsigned_abs())
    }

    /// Go on at the first packet that waits.
    fn skip_hole(&mut self, reader: &mut impl Reader) {
        self.lose(reader, self.hole());
    }

    /// Go on behind what the receiver has, and the capture has not.
    fn skip_acked(&mut self, reader: &mut impl Reader) {
        let run = self.acked_run;
        let missing = run.saturating_add(self.acked.checked_shr(run).unwrap_or(0).trailing_ones());
        self.lose(reader, missing.min(self.hole()));
    }

    fn lose(&mut self, reader: &mut impl Reader, packets: u32) {
        self.advance(reader.run(), packets);
        self.gaps = self.gaps.saturating_add(1);
        reader.run().counters.openvpn_gaps += 1;
        reader.gap((u64::from(packets) * u64::from(self.last_length)).max(1));
        self.drain(reader);
    }

    // --- packets set aside ---

    fn place_aside(&self, packet_id: u32) -> Option<usize> {
        self.aside.iter().position(|chunk| chunk.packet_id == packet_id)
    }

    fn put_aside(&mut self, reader: &mut impl Reader, chunk: Chunk) {
        self.charge(reader.run(), &chunk);
        self.aside.push(chunk);
        if self.aside.len() > MOST_ASIDE {
            self.forget_aside(reader.run(), 0);
        }
        self.make_room(reader);
    }

    fn take_aside(&mut self, run: &mut Run, at: usize) -> Chunk {
        let chunk = self.aside.remove(at);
        self.discharge(run, &chunk);
        chunk
    }

    fn forget_aside(&mut self, run: &mut Run, at: usize) {
        self.take_aside(run, at);
        run.counters.openvpn_packets_ahead += 1;
    }

    // --- limits ---

    fn charge(&mut self, run: &mut Run, chunk: &Chunk) {
        self.waiting_bytes += chunk.cost();
        run.out_of_order_bytes += chunk.cost();
    }

    fn discharge(&mut self, run: &mut Run, chunk: &Chunk) {
        self.waiting_bytes -= chunk.cost();
        run.out_of_order_bytes -= chunk.cost();
    }

    /// What was set aside goes first.
    fn make_room(&mut self, reader: &mut impl Reader) {
        while self.holds_too_much(reader.run()) {
            if !self.aside.is_empty() {
                self.forget_aside(reader.run(), 0);
            } else if self.has_hole() {
                self.skip_hole(reader);
            } else {
                return;
            }
        }
    }

    fn holds_too_much(&self, run: &Run) -> bool {
        self.waiting_bytes > run.limits.out_of_order_bytes
            || run.out_of_order_bytes > run.limits.out_of_order_bytes_total
    }
}

//! Frames in, facts out.

use crate::conversations::Conversations;
use crate::flow_table::{FlowTable, Packet};
use crate::fragment::Fragments;
use crate::frame::FrameReader;
use crate::layers::{Carried, Dropped, Found};
use crate::rows::Facts;
use crate::run::{Counters, Limits, Run};

/// The year 2116. Later timestamps are taken for this one, so that adding a timeout never overflows.
const LATEST_TIME_NS: i64 = 1 << 62;
/// Frames looked at together: the flows of all of them are on their way from memory while the first is worked on.
const WINDOW_FRAMES: usize = 32;
/// An engine alone counts to 2^44, as many flows as no sensor lives to see; JSON readers keep 512 such ranges exact.
const NUMBERS_BITS: u32 = 44;
/// Bytes of one row of `FRAME_DTYPE`.
pub const FRAME_ROW_BYTES: usize = 24;

/// Where and when a frame was captured: one row of `FRAME_DTYPE`.
#[derive(Clone, Copy, Debug)]
struct FrameRow {
    time_ns: i64,
    offset: u32,
    captured_bytes: u32,
    wire_bytes: u32,
    link_type: u16,
}

impl FrameRow {
    fn read(row: &[u8; FRAME_ROW_BYTES]) -> Self {
        let u32_at = |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
        Self {
            time_ns: i64::from_le_bytes([row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]]),
            offset: u32_at(8),
            captured_bytes: u32_at(12),
            wire_bytes: u32_at(16),
            link_type: u16::from_le_bytes([row[20], row[21]]),
        }
    }
}

/// One captured frame.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Frame<'a> {
    pub time_ns: i64,
    /// Its original length.
    pub wire_bytes: u32,
    /// `LINKTYPE_` number of the pcap registry.
    pub link_type: u16,
    pub data: &'a [u8],
}

/// What is to be done for a frame. The flow of a segment or datagram is looked for ahead of its turn.
enum Work<'a> {
    Packet(Packet<'a>),
    Other(Result<Found<'a>, Dropped>),
}

/// What an engine holds, counted anew rather than taken from its books: for tests of the bounds. What is out of order in all
/// flows together, and the most in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Held {
    pub flows: u64,
    pub out_of_order_bytes: u64,
    pub most_out_of_order_bytes: u64,
    pub state_bytes: u64,
    pub fragments: u64,
    pub fragment_bytes: u64,
    pub eap_clues: u64,
}

/// The decoder: flow state goes on from batch to batch.
pub struct Engine {
    run: Run,
    reader: FrameReader,
    fragments: Fragments,
    conversations: Conversations,
    flows: FlowTable,
    panic_in_next_chunk: bool,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            reader: FrameReader::new(&limits),
            fragments: Fragments::new(),
            conversations: Conversations::new(&limits),
            flows: FlowTable::new(&limits),
            run: Run::new(limits),
            panic_in_next_chunk: false,
        }
    }

    /// One of several engines whose facts come together: each numbers its flows and messages in a range of its own.
    #[must_use]
    pub fn numbered(limits: Limits, number: u16) -> Self {
        let mut engine = Self::new(limits);
        engine.run.numbers_from = u64::from(number) << NUMBERS_BITS;
        engine
    }

    /// Decode a batch: `frames` holds rows of `FRAME_DTYPE` that point into `data`. Rows wait until there are so many.
    /// Never fails on any content.
    pub fn feed(&mut self, data: &[u8], frames: &[u8], at_least_rows: usize) -> Facts {
        self.decode(frames.chunks_exact(FRAME_ROW_BYTES).filter_map(<[u8]>::first_chunk).map(|row| {
            let row = FrameRow::read(row);
            let start = (row.offset as usize).min(data.len());
            let end = start.saturating_add(row.captured_bytes as usize).min(data.len());
            Frame {
                time_ns: row.time_ns,
                wire_bytes: row.wire_bytes,
                link_type: row.link_type,
                data: &data[start..end],
            }
        }));
        self.take(at_least_rows)
    }

    /// Decode frames, wherever they lie; `take` gives what they told.
    pub fn decode<'a>(&mut self, mut frames: impl Iterator<Item = Frame<'a>>) {
        let mut window = Vec::with_capacity(WINDOW_FRAMES);
        loop {
            window.extend(frames.by_ref().take(WINDOW_FRAMES).map(|frame| (frame, self.read(&frame))));
            if window.is_empty() {
                return;
            }
            for (_, work) in &mut window {
                if let Work::Packet(packet) = work {
                    self.flows.guess(packet);
                }
            }
            for (_, work) in &window {
                if let Work::Packet(packet) = work {
                    self.flows.touch_ahead(packet);
                }
            }
            for (frame, work) in &window {
                self.frame(frame, work);
            }
            window.clear();
        }
    }

    #[allow(clippy::inline_always)] // as `FlowTable::address`: else a packet is copied on its way
    #[inline(always)]
    fn read<'a>(&self, frame: &Frame<'a>) -> Work<'a> {
        match self.reader.read(frame.link_type, frame.data) {
            Ok(Found::Segment(segment)) => Work::Packet(self.flows.address(Carried::Segment(segment))),
            Ok(Found::Datagram(datagram)) if !self.conversations.may_have(&datagram) => {
                Work::Packet(self.flows.address(Carried::Datagram(datagram)))
            }
            other => Work::Other(other),
        }
    }

    /// Let time go on while nothing arrives: flows that have been idle for too long end.
    pub fn tick(&mut self, time_ns: i64) {
        self.run.time_ns = time_ns.clamp(0, LATEST_TIME_NS);
        self.flows.tick(&mut self.run);
    }

    fn frame(&mut self, frame: &Frame<'_>, work: &Work<'_>) {
        let run = &mut self.run;
        run.packet_number += 1;
        run.time_ns = frame.time_ns.clamp(0, LATEST_TIME_NS);
        run.counters.packets += 1;
        run.counters.bytes += u64::from(frame.wire_bytes);
        self.flows.tick(run);
        match work {
            Work::Packet(packet) => self.flows.packet(run, packet, frame.wire_bytes),
            Work::Other(found) => self.other(found, frame),
        }
    }

    /// Give what a frame holds to where it belongs. A packet of many fragments counts as the frame that made it whole.
    fn other(&mut self, found: &Result<Found<'_>, Dropped>, frame: &Frame<'_>) {
        let run = &mut self.run;
        let packet;
        let carried = match found {
            Ok(Found::Segment(segment)) => Carried::Segment(*segment),
            Ok(Found::Datagram(datagram)) => {
                packet = self.conversations.of_datagram(run, datagram);
                packet.as_ref().map_or(Carried::Datagram(*datagram), Carried::Eap)
            }
            Ok(Found::Eapol(eapol)) => {
                packet = self.conversations.of_eapol(run, eapol, frame.data.len() >= frame.wire_bytes as usize);
                let Some(packet) = packet.as_ref() else {
                    return;
                };
                Carried::Eap(packet)
            }
            Ok(Found::Fragment(fragment)) => {
                if let Some(whole) = self.fragments.add(run, fragment) {
                    self.other(&self.reader.resume(fragment, &whole), frame);
                }
                return;
            }
            Err(dropped) => return dropped.count(&mut run.counters),
        };
        self.flows.packet(run, &self.flows.address(carried), frame.wire_bytes);
    }

    /// Whether any flow is open.
    #[must_use]
    pub fn has_flows(&self) -> bool {
        !self.flows.is_empty()
    }

    /// End so many flows, in the order they began. Once none is left the engine may be fed a fresh capture.
    pub fn finish(&mut self, most: usize) -> Facts {
        self.fragments.finish(&mut self.run);
        self.conversations.finish();
        self.flows.finish(&mut self.run, most);
        self.take(0)
    }

    /// What was learnt since it gave something last, if there are so many rows of it.
    pub fn take(&mut self, at_least_rows: usize) -> Facts {
        assert!(!std::mem::take(&mut self.panic_in_next_chunk), "asked for by panic_in_next_chunk");
        self.run.rows.take(at_least_rows)
    }

    /// For tests of the recovery.
    pub fn panic_in_next_chunk(&mut self) {
        self.panic_in_next_chunk = true;
    }

    /// Totals so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.run.counters
    }

    /// Look through everything that is held.
    #[must_use]
    pub fn held(&self) -> Held {
        let (fragments, fragment_bytes) = self.fragments.held();
        let mut held = Held { fragments, fragment_bytes, eap_clues: self.conversations.held(), ..Held::default() };
        for flow in self.flows.all() {
            let waiting_bytes = flow.waiting_bytes();
            held.flows += 1;
            held.out_of_order_bytes += waiting_bytes.iter().sum::<u64>();
            held.most_out_of_order_bytes = waiting_bytes.into_iter().fold(held.most_out_of_order_bytes, u64::max);
            held.state_bytes += u64::from(flow.count_state_bytes());
        }
        held
    }

    /// What is left to do after a panic: forget all flows, keep counters and numbering, give the rows made before it.
    pub fn recover(&mut self) -> Facts {
        self.flows = FlowTable::new(&self.run.limits);
        self.fragments = Fragments::new();
        self.conversations.finish();
        self.run.out_of_order_bytes = 0;
        self.run.state_bytes = 0;
        self.run.rows.take(0)
    }
}

//! The table of flows: see `hbids/decode/reference/flow_table.py` for when a flow ends, and how many are held.

use ahash::RandomState;
use hashbrown::HashTable;

use crate::flow::{EndReason, Flow};
use crate::flow_key::Key;
use crate::layers::Carried;
use crate::run::{Limits, Run};
use crate::transport::SYN;

const SWEEP_NS: i64 = 1_000_000_000;
const NOBODY: u32 = u32::MAX;
const STANDINGS: usize = 4;
/// All flows, by when they were last known to be active.
const ACTIVE: usize = 0;
/// Those that hold something beyond what every flow takes, by when they were last known to be active since.
const HOLDING: usize = 1;
/// Flows that were active since they were listed, passed over when one must go.
const SECOND_CHANCES: usize = 8;
/// Flows are allocated this many at a time and never move: growing copies nothing.
const BLOCK_FLOWS: usize = 256;

/// Places for flows, addressed by number; places of ended flows are used again.
#[derive(Default)]
struct Slab {
    blocks: Vec<Vec<Option<Flow>>>,
    free: Vec<u32>,
    used: u32,
}

impl Slab {
    fn get(&self, at: u32) -> Option<&Flow> {
        self.blocks.get(at as usize / BLOCK_FLOWS)?.get(at as usize % BLOCK_FLOWS)?.as_ref()
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut Flow> {
        self.blocks.get_mut(at as usize / BLOCK_FLOWS)?.get_mut(at as usize % BLOCK_FLOWS)?.as_mut()
    }

    fn put(&mut self, flow: Flow) -> u32 {
        if let Some(at) = self.free.pop() {
            self.blocks[at as usize / BLOCK_FLOWS][at as usize % BLOCK_FLOWS] = Some(flow);
            return at;
        }
        let at = self.used;
        self.used += 1;
        if at as usize % BLOCK_FLOWS == 0 {
            self.blocks.push(Vec::with_capacity(BLOCK_FLOWS));
        }
        self.blocks[at as usize / BLOCK_FLOWS].push(Some(flow));
        at
    }

    fn take(&mut self, at: u32) -> Option<Flow> {
        let flow = self.blocks.get_mut(at as usize / BLOCK_FLOWS)?.get_mut(at as usize % BLOCK_FLOWS)?.take();
        if flow.is_some() {
            self.free.push(at);
        }
        flow
    }
}

/// Oldest and newest flow of a list; the flows link to their neighbours.
#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

/// A flow's place in a list.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    previous: u32,
    next: u32,
    /// When the flow was put there.
    since_ns: i64,
}

impl Place {
    pub(crate) const NONE: Self = Self { previous: NOBODY, next: NOBODY, since_ns: 0 };
}

/// A segment or datagram and where its flow is to be found.
pub(crate) struct Packet<'a> {
    carried: Carried<'a>,
    key: Key,
    side: usize,
    hash: u64,
    /// Where the flow probably is.
    hint: Option<u32>,
}

/// See the module's documentation.
pub(crate) struct FlowTable {
    slab: Slab,
    index: HashTable<u32>,
    hasher: RandomState,
    /// `ACTIVE` and `HOLDING`, by standing.
    lists: [[List; STANDINGS]; 2],
    timeouts_ns: [i64; STANDINGS],
    clock_ns: Option<i64>,
    next_sweep_ns: i64,
    /// Identity and place of the flows that `finish` has still to end, the oldest last.
    finishing: Vec<(u64, u32)>,
}

impl FlowTable {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            slab: Slab::default(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            lists: [[List { head: NOBODY, tail: NOBODY }; STANDINGS]; 2],
            timeouts_ns: [
                limits.closed_timeout_ns,
                limits.opening_timeout_ns,
                limits.plain_timeout_ns,
                limits.tls_timeout_ns,
            ],
            clock_ns: None,
            next_sweep_ns: 0,
            finishing: Vec::new(),
        }
    }

    /// Let packet time go on; it never goes back. Ends flows that have been idle for too long.
    pub(crate) fn tick(&mut self, run: &mut Run) {
        let Some(clock_ns) = self.clock_ns.map(|clock| clock.max(run.time_ns)) else {
            self.clock_ns = Some(run.time_ns);
            self.next_sweep_ns = run.time_ns + SWEEP_NS;
            return;
        };
        self.clock_ns = Some(clock_ns);
        if clock_ns < self.next_sweep_ns {
            return;
        }
        self.next_sweep_ns = clock_ns + SWEEP_NS;
        for standing in 0..STANDINGS {
            let timeout_ns = self.timeouts_ns[standing];
            loop {
                let at = self.lists[ACTIVE][standing].head;
                let Some(first) = self.slab.get(at) else { break };
                if first.places[ACTIVE].since_ns.saturating_add(timeout_ns) > clock_ns {
                    break;
                }
                if first.touched_ns.saturating_add(timeout_ns) <= clock_ns {
                    self.end(run, at, EndReason::Timeout);
                } else {
                    self.relink(at, ACTIVE);
                }
            }
        }
    }

    /// Name the flow of a packet.
    #[allow(clippy::inline_always)] // else the whole packet is copied once more, 5 % of all instructions
    #[inline(always)]
    pub(crate) fn address<'a>(&self, carried: Carried<'a>) -> Packet<'a> {
        let (key, side) = Key::of(&carried);
        Packet { carried, key, side, hash: self.hasher.hash_one(key), hint: None }
    }

    /// Guess where the flow of a packet is, by its hash alone: the flow itself is not looked at yet.
    pub(crate) fn guess(&self, packet: &mut Packet<'_>) {
        packet.hint = self.index.find(packet.hash, |_| true).copied();
    }

    /// Touch the flow of a packet. With many flows each look-up waits for memory several times; done for some packets
    /// in a row, nothing depends on what is read, and the waits overlap.
    pub(crate) fn touch_ahead(&self, packet: &Packet<'_>) {
        let flow = packet.hint.and_then(|at| self.slab.get(at));
        std::hint::black_box(flow.map_or(0, Flow::touch));
    }

    /// Give a packet to its flow.
    pub(crate) fn packet(&mut self, run: &mut Run, packet: &Packet<'_>, wire_bytes: u32) {
        let Packet { carried, key, side, hash, hint } = packet;
        let (key, side, hash) = (*key, *side, *hash);
        let hinted = hint.filter(|at| self.slab.get(*at).is_some_and(|flow| flow.key == key));
        let mut found = hinted.or_else(|| self.find(hash, &key));
        if let Some(at) = found {
            let is_replaced = match carried {
                Carried::Segment(segment) if segment.flags & SYN != 0 => {
                    self.slab.get_mut(at).is_some_and(|flow| flow.is_replaced_by(run, side, segment))
                }
                Carried::Eap(packet) => self.slab.get(at).is_some_and(|flow| flow.is_begun_anew_by(&packet.eap)),
                _ => false,
            };
            if is_replaced {
                self.end(run, at, EndReason::Reused);
                found = None;
            }
        }
        let at = found.unwrap_or_else(|| self.open(run, key, hash, carried));
        if let Some(flow) = self.slab.get_mut(at) {
            flow.packet(run, side, carried, wire_bytes);
        }
        self.touch(at);
        self.charge(run, at);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Every live flow.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Flow> {
        self.slab.blocks.iter().flatten().flatten()
    }

    /// End so many flows, in the order they began; the clock starts anew after the last.
    pub(crate) fn finish(&mut self, run: &mut Run, most: usize) {
        if self.finishing.is_empty() {
            let slab = &self.slab;
            let live = (0..slab.used).filter_map(|at| slab.get(at).map(|flow| (flow.flow_id, at)));
            self.finishing = live.collect();
            self.finishing.sort_unstable_by(|one, other| other.cmp(one));
        }
        for (flow_id, at) in self.finishing.split_off(self.finishing.len().saturating_sub(most)).into_iter().rev() {
            if self.slab.get(at).is_some_and(|flow| flow.flow_id == flow_id) {
                self.end(run, at, EndReason::CaptureEnd);
            }
        }
        if self.is_empty() {
            self.clock_ns = None;
        }
    }

    fn find(&self, hash: u64, key: &Key) -> Option<u32> {
        self.index.find(hash, |at| self.slab.get(*at).is_some_and(|flow| flow.key == *key)).copied()
    }

    fn open(&mut self, run: &mut Run, key: Key, hash: u64, carried: &Carried<'_>) -> u32 {
        if self.index.len() as u64 >= run.limits.flows.max(1) {
            self.evict(run, ACTIVE);
        }
        let flow_id = run.next_flow_id();
        let mut flow = Flow::new(run, flow_id, key, carried);
        flow.touched_ns = self.clock_ns.unwrap_or(0);
        let at = self.slab.put(flow);
        let Self { slab, index, hasher, .. } = self;
        index.insert_unique(hash, at, |at| slab.get(*at).map_or(0, |flow| hasher.hash_one(flow.key)));
        self.link(at, ACTIVE);
        at
    }

    /// End one flow of those in some lists: of the least telling standing, and there the one that has been listed for
    /// longest, unless it was active since.
    fn evict(&mut self, run: &mut Run, lists: usize) {
        for chance in 0..=SECOND_CHANCES {
            let Some(at) = self.lists[lists].iter().map(|list| list.head).find(|head| *head != NOBODY) else {
                return;
            };
            let active =
                self.slab.get(at).is_some_and(|flow| flow.touched_ns - flow.places[lists].since_ns >= SWEEP_NS);
            if !active || chance == SECOND_CHANCES {
                run.counters.flows_evicted += 1;
                self.end(run, at, EndReason::Evicted);
                return;
            }
            self.relink(at, lists);
        }
    }

    /// Account for what a flow holds now. If all flows together hold too much, some end.
    fn charge(&mut self, run: &mut Run, at: u32) {
        let Some(flow) = self.slab.get_mut(at) else {
            return;
        };
        let held = flow.count_state_bytes();
        if held == 0 && flow.state_bytes == 0 {
            return; // as most flows at most times
        }
        run.state_bytes = run.state_bytes - u64::from(flow.state_bytes) + u64::from(held);
        flow.state_bytes = held;
        if flow.is_holder != (held > 0) {
            flow.is_holder = held > 0;
            if held > 0 {
                self.link(at, HOLDING);
            } else {
                self.unlink(at, HOLDING);
            }
        }
        while run.state_bytes > run.limits.state_bytes_total {
            self.evict(run, HOLDING);
        }
    }

    /// Note that a flow was active, and put it where it belongs by what is known of it now.
    fn touch(&mut self, at: u32) {
        let Some(flow) = self.slab.get_mut(at) else {
            return;
        };
        flow.touched_ns = self.clock_ns.unwrap_or(0);
        let standing = flow.current_standing();
        if standing != flow.standing {
            let lists = if flow.is_holder { [ACTIVE, HOLDING].as_slice() } else { &[ACTIVE] };
            for list in lists {
                self.unlink(at, *list);
            }
            if let Some(flow) = self.slab.get_mut(at) {
                flow.standing = standing;
            }
            for list in lists {
                self.link(at, *list);
            }
        }
    }

    /// Move a flow to the end of its list.
    fn relink(&mut self, at: u32, lists: usize) {
        self.unlink(at, lists);
        self.link(at, lists);
    }

    fn link(&mut self, at: u32, lists: usize) {
        let Some(flow) = self.slab.get_mut(at) else {
            return;
        };
        let list = &mut self.lists[lists][flow.standing as usize];
        let last = std::mem::replace(&mut list.tail, at);
        if list.head == NOBODY {
            list.head = at;
        }
        flow.places[lists] = Place { previous: last, next: NOBODY, since_ns: self.clock_ns.unwrap_or(0) };
        if let Some(flow) = self.slab.get_mut(last) {
            flow.places[lists].next = at;
        }
    }

    fn unlink(&mut self, at: u32, lists: usize) {
        let Some((place, standing)) = self.slab.get(at).map(|flow| (flow.places[lists], flow.standing)) else {
            return;
        };
        let list = &mut self.lists[lists][standing as usize];
        match self.slab.get_mut(place.previous) {
            Some(flow) => flow.places[lists].next = place.next,
            None => list.head = place.next,
        }
        match self.slab.get_mut(place.next) {
            Some(flow) => flow.places[lists].previous = place.previous,
            None => list.tail = place.previous,
        }
    }

    fn end(&mut self, run: &mut Run, at: u32, reason: EndReason) {
        self.unlink(at, ACTIVE);
        if self.slab.get(at).is_some_and(|flow| flow.is_holder) {
            self.unlink(at, HOLDING);
        }
        let Some(mut flow) = self.slab.take(at) else {
            return;
        };
        if let Ok(entry) = self.index.find_entry(self.hasher.hash_one(flow.key), |other| *other == at) {
            entry.remove();
        }
        run.state_bytes -= u64::from(flow.state_bytes);
        flow.end(run, reason);
    }
}

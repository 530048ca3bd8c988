//! Several interfaces heard by one engine, their frames in the order of time.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use hbids_core::Engine;

use crate::fanout::Share;
use crate::recent::{Chunk, Recent};
use crate::ring::Place;
use crate::socket::{wait, Instruction};
use crate::tap::{Counters, Options, Tap};

/// Taken from an interface before others have their turn; a few mebibytes.
const MOST_BLOCKS: usize = 8;
/// Beyond the time after which the kernel hands a block over: for its timer, and for ours.
const SLACK: Duration = Duration::from_millis(5);
/// A frame that comes later than this is none that was held up: the clock was set back.
const MOST_LATE_NS: i64 = 1_000_000_000;

/// A frame that waits to be decoded.
#[derive(Clone, Copy)]
struct Waiting {
    place: Place,
    block: u64,
    tap: usize,
    taken: Instant,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Taps {
    taps: Vec<Tap>,
    filters: Vec<Vec<Instruction>>,
    /// In the order in which they are to be decoded.
    waiting: Vec<Waiting>,
    /// How long a frame must wait until no other interface can have an earlier one.
    delay: Duration,
    latest_ns: i64,
    recent: Option<Recent>,
}

impl Taps {
    /// Listen to one more interface, alone or with a share of its frames; the group that the others must join. Nothing is
    /// heard before `start`.
    pub fn open(&mut self, options: &Options, share: Option<Share>) -> io::Result<Option<u16>> {
        let (tap, group) = Tap::open(options, share)?;
        self.taps.push(tap);
        self.filters.push(options.filter.clone());
        if self.taps.len() > 1 {
            self.delay = self.delay.max(Duration::from_millis(options.block_timeout_ms.into()) + SLACK);
        }
        Ok(group)
    }

    /// Keep copies of the last frames, so many bytes.
    pub fn keep_recent(&mut self, most_bytes: usize) {
        self.recent = Some(Recent::new(most_bytes));
    }

    /// The frames that are kept.
    pub fn recent(&self) -> impl Iterator<Item = &Chunk> {
        self.recent.iter().flat_map(Recent::chunks)
    }

    /// Hear, from now on.
    pub fn start(&mut self) -> io::Result<()> {
        self.taps.iter().zip(&self.filters).try_for_each(|(tap, filter)| tap.start(filter))
    }

    /// Hear nothing new; what has come is still to be watched.
    pub fn stop(&mut self) -> io::Result<()> {
        self.taps.iter().try_for_each(Tap::stop)
    }

    /// Wait for frames and decode them: until there are no more, or for `most`. If none come within `longest_wait`, time
    /// goes on all the same.
    pub fn watch(&mut self, engine: &mut Engine, longest_wait: Duration, most: Duration) -> io::Result<()> {
        let started = Instant::now();
        let mut decoded = false;
        loop {
            self.take();
            let ripe = self.ripe();
            if ripe > 0 {
                self.decode(engine, ripe);
                decoded = true;
            } else if decoded || started.elapsed() >= longest_wait {
                break;
            } else {
                self.wait(longest_wait.saturating_sub(started.elapsed()))?;
            }
            if decoded && started.elapsed() >= most {
                break;
            }
        }
        if !decoded {
            engine.tick(now_ns());
        }
        Ok(())
    }

    /// Totals of each interface so far.
    pub fn counters(&mut self) -> io::Result<Vec<Counters>> {
        self.taps.iter_mut().map(Tap::counters).collect()
    }

    /// After a panic: forget what waits.
    pub fn give_up(&mut self) {
        self.waiting.clear();
        self.taps.iter_mut().for_each(Tap::give_up);
    }

    fn take(&mut self) {
        let (waited, taken) = (self.waiting.len(), Instant::now());
        for (number, tap) in self.taps.iter_mut().enumerate() {
            let waiting = &mut self.waiting;
            tap.take(MOST_BLOCKS, |block, place| waiting.push(Waiting { place, block, tap: number, taken }));
        }
        if self.taps.len() > 1 && self.waiting.len() > waited {
            self.waiting.sort_by_key(|frame| frame.place.time_ns);
        }
    }

    /// How many may be decoded: of one interface all, of several those that nothing earlier can follow.
    fn ripe(&self) -> usize {
        if self.taps.len() <= 1 || self.taps.iter().any(Tap::is_short_of_blocks) {
            return self.waiting.len();
        }
        self.waiting.iter().rposition(|frame| frame.taken.elapsed() >= self.delay).map_or(0, |last| last + 1)
    }

    fn decode(&mut self, engine: &mut Engine, count: usize) {
        let rest = self.waiting.split_off(count);
        let ripe = std::mem::replace(&mut self.waiting, rest);
        let taps = &self.taps;
        engine.decode(ripe.iter().map(|frame| taps[frame.tap].frame(frame.block, &frame.place)));
        if let Some(recent) = &mut self.recent {
            for frame in &ripe {
                recent.keep(&taps[frame.tap].frame(frame.block, &frame.place), frame.tap as u16);
            }
        }
        for frame in &ripe {
            let tap = &mut self.taps[frame.tap];
            let late_ns = self.latest_ns.saturating_sub(frame.place.time_ns);
            if late_ns > 0 {
                tap.count_late();
            }
            if !(1..=MOST_LATE_NS).contains(&late_ns) {
                self.latest_ns = frame.place.time_ns;
            }
            tap.done(frame.block);
        }
        self.taps.iter_mut().for_each(Tap::give_back_done);
    }

    fn wait(&mut self, longest: Duration) -> io::Result<()> {
        if let Some(first) = self.waiting.first() {
            // With blocks held, the sockets would wake us at once.
            std::thread::sleep(longest.min(self.delay.saturating_sub(first.taken.elapsed())));
            return Ok(());
        }
        wait(self.taps.iter().map(Tap::as_fd), longest)?;
        self.taps.iter_mut().try_for_each(Tap::take_error)
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

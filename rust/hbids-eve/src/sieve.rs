//! What is read off lines, what waits, and where the caller has something to do.

use std::collections::HashSet;

use crate::flow::{flow, head};
use crate::line::{Finder, Kind};
use crate::scan::{time_ns, Cursor, SECONDS_BYTES, TIME_BYTES};
use crate::waiting::{Session, Waiting};

/// Why sifting stopped, with where a line begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// There are no more lines.
    End,
    /// The line has to be parsed; sifting goes on behind it.
    Event(usize, usize),
    /// The line begins another second; sifting goes on at it.
    Second(usize, usize),
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of any kind.
    pub lines: u64,
    /// `tls` events.
    pub tls: u64,
    /// `flow` events.
    pub flows: u64,
    /// Sessions that are over, or have waited long enough, and do not concern heartbeats.
    pub passed: u64,
    /// Those of them that speak TLS 1.3.
    pub passed_tls13: u64,
}

/// See `hbids.eve.sieve.Sieve`.
pub struct Sieve {
    most_sessions: usize,
    most_session_bytes: usize,
    tells_all: bool,
    finder: Finder,
    second: [u8; SECONDS_BYTES],
    known: HashSet<u64, ahash::RandomState>,
    waiting: Waiting,
    told: Vec<Session>,
    flows: Vec<u8>,
    counts: Counts,
}

enum Verdict {
    Done,
    Parse,
    Second,
}

impl Sieve {
    /// One that lets so many sessions wait, and tells of all of them, or of those that may concern heartbeats.
    pub fn new(most_sessions: usize, most_session_bytes: usize, tells_all: bool) -> Self {
        Self {
            most_sessions,
            most_session_bytes,
            tells_all,
            finder: Finder::default(),
            second: [0; SECONDS_BYTES],
            known: HashSet::default(),
            waiting: Waiting::default(),
            told: Vec::new(),
            flows: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Read on in whole lines, of which those before `from` have been read, until there is something to do. `place` is
    /// where these lines begin, `now_ns` the time by now.
    pub fn sift(&mut self, lines: &[u8], from: usize, place: u64, now_ns: i64) -> Stop {
        let mut at = from.min(lines.len());
        while let Some((kind, start, end)) = self.finder.next_line(lines, at) {
            let line = &lines[start..end];
            let verdict = match kind {
                Kind::Tls => self.take_tls(line, place, now_ns),
                Kind::Flow => self.take_flow(line),
                Kind::Netflow => self.pass_flow(line),
                Kind::Frame if !self.finder.is_heartbeat(line) => Verdict::Done,
                Kind::Frame | Kind::Parsed => Verdict::Parse,
            };
            match verdict {
                Verdict::Done => at = end,
                Verdict::Parse => return Stop::Event(start, end),
                Verdict::Second => return Stop::Second(start, end),
            }
        }
        self.counts.lines += memchr::memchr_iter(b'\n', lines).count() as u64;
        Stop::End
    }

    /// More about this flow is to be parsed.
    pub fn know(&mut self, flow_id: u64) {
        self.known.insert(flow_id);
    }

    /// No longer.
    pub fn forget(&mut self, flow_id: u64) {
        self.known.remove(&flow_id);
    }

    /// The session of a flow, which waits no longer.
    pub fn claim(&mut self, flow_id: u64) -> Option<Session> {
        self.waiting.remove(flow_id)
    }

    /// The session of a flow is told of, if it waits.
    pub fn tell(&mut self, flow_id: u64) {
        if let Some(session) = self.waiting.remove(flow_id) {
            if self.tells_all || self.finder.concerns_heartbeats(&session.line) {
                self.told.push(session);
            } else {
                self.counts.passed += 1;
                self.counts.passed_tls13 += u64::from(self.finder.is_tls13(&session.line));
            }
        }
    }

    /// Sessions that have waited since then or longer are told of.
    pub fn tell_since(&mut self, time_ns: i64) {
        while let Some(flow_id) =
            self.waiting.first().filter(|first| first.time_ns <= time_ns).map(|first| first.flow_id)
        {
            self.tell(flow_id);
        }
    }

    /// Sessions that are to be told of, in the order in which they were over.
    pub fn told(&mut self) -> Vec<Session> {
        std::mem::take(&mut self.told)
    }

    /// Rows of flows that were read, packed.
    pub fn flows(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.flows)
    }

    /// The first place behind `from` from which a session waits.
    pub fn oldest_place(&self, from: u64) -> Option<u64> {
        self.waiting.oldest_place(from)
    }

    /// What was read so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn take_tls(&mut self, line: &[u8], place: u64, now_ns: i64) -> Verdict {
        let Some(head) = head(&mut Cursor(line)) else {
            return Verdict::Parse;
        };
        if let Some(verdict) = self.look(head.time, head.flow_id) {
            return verdict;
        }
        self.counts.tls += 1;
        self.waiting.add(Session { flow_id: head.flow_id, time_ns: now_ns, place, line: line.to_vec() });
        while self.waiting.len() > self.most_sessions || self.waiting.bytes() > self.most_session_bytes {
            let Some(flow_id) = self.waiting.first().map(|first| first.flow_id) else {
                break;
            };
            self.tell(flow_id);
        }
        Verdict::Done
    }

    fn take_flow(&mut self, line: &[u8]) -> Verdict {
        let Some((head, row)) = flow(line) else {
            return self.pass_flow(line);
        };
        if let Some(verdict) = self.look(head.time, head.flow_id) {
            return verdict;
        }
        self.counts.flows += 1;
        self.flows.extend_from_slice(&row);
        self.tell(head.flow_id);
        Verdict::Done
    }

    /// Of a flow that is not TLS, or looks otherwise; or of one direction.
    fn pass_flow(&self, line: &[u8]) -> Verdict {
        let nobody = self.known.is_empty() && self.waiting.len() == 0;
        let is_known = |flow_id| self.known.contains(&flow_id) || self.waiting.contains(flow_id);
        if self.finder.is_tls(line) || (!nobody && self.finder.flow_id(line).is_some_and(is_known)) {
            Verdict::Parse
        } else {
            Verdict::Done
        }
    }

    /// Whether the line is to be parsed after all, or begins another second.
    fn look(&mut self, time: &[u8; TIME_BYTES], flow_id: u64) -> Option<Verdict> {
        if self.known.contains(&flow_id) {
            return Some(Verdict::Parse);
        }
        let second = time.first_chunk()?;
        if *second == self.second {
            return None;
        }
        if time_ns(time).is_none() {
            return Some(Verdict::Parse);
        }
        self.second = *second;
        Some(Verdict::Second)
    }
}

//! `tls` events that wait: for a heartbeat of their flow, or for its end.

use std::collections::{HashMap, VecDeque};

/// A `tls` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Suricata's.
    pub flow_id: u64,
    /// Since when it waits.
    pub time_ns: i64,
    /// Where the block began in which it stood.
    pub place: u64,
    /// As it was written.
    pub line: Vec<u8>,
}

/// In the order in which their flows came; a second event of a flow takes the place of the first.
#[derive(Default)]
pub(crate) struct Waiting {
    sessions: HashMap<u64, (u64, Session), ahash::RandomState>,
    /// Flows with the number of their turn. One that has gone, or has come again, leaves a turn that is nobody's.
    turns: VecDeque<(u64, u64)>,
    next_turn: u64,
    bytes: usize,
}

/// Turns that are nobody's and may stay.
const LEAST_TURNS: usize = 1_024;

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Of all lines.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn contains(&self, flow_id: u64) -> bool {
        self.sessions.contains_key(&flow_id)
    }

    pub(crate) fn add(&mut self, session: Session) {
        self.bytes += session.line.len();
        if let Some((_, waits)) = self.sessions.get_mut(&session.flow_id) {
            self.bytes -= waits.line.len();
            *waits = Session { place: waits.place, ..session };
            return;
        }
        self.turns.push_back((session.flow_id, self.next_turn));
        self.sessions.insert(session.flow_id, (self.next_turn, session));
        self.next_turn += 1;
        if self.turns.len() > LEAST_TURNS.max(2 * self.sessions.len()) {
            let sessions = &self.sessions;
            self.turns.retain(|(flow_id, turn)| sessions.get(flow_id).is_some_and(|(its, _)| its == turn));
        }
    }

    pub(crate) fn remove(&mut self, flow_id: u64) -> Option<Session> {
        let (_, session) = self.sessions.remove(&flow_id)?;
        self.bytes -= session.line.len();
        Some(session)
    }

    /// The one that came first.
    pub(crate) fn first(&mut self) -> Option<&Session> {
        while let Some((flow_id, turn)) = self.turns.front() {
            if self.sessions.get(flow_id).is_some_and(|(its, _)| its == turn) {
                return self.sessions.get(flow_id).map(|(_, session)| session);
            }
            self.turns.pop_front();
        }
        None
    }

    /// The first place behind `from` at which one stood.
    pub(crate) fn oldest_place(&self, from: u64) -> Option<u64> {
        let waits = |(flow_id, turn): &(u64, u64)| self.sessions.get(flow_id).filter(|(its, _)| its == turn);
        self.turns.iter().filter_map(waits).map(|(_, session)| session.place).find(|place| *place >= from)
    }
}

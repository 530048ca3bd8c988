//! Which request a heartbeat answers: see `hbids/decode/reference/heartbeat_pairing.py`.

use std::collections::VecDeque;

use crate::heartbeat_message::{Request, ABSENT, HEADER_BYTES, PADDING_BYTES};
use crate::run::Run;

/// What a waiting request takes in memory.
const REQUEST_BYTES: u64 = 64;

/// Requests of both sides that nothing has answered yet, oldest first.
#[derive(Default)]
pub(crate) struct Pairing {
    pending: [VecDeque<Request>; 2],
}

impl Pairing {
    pub(crate) fn held_bytes(&self) -> u64 {
        self.pending.iter().map(VecDeque::len).sum::<usize>() as u64 * REQUEST_BYTES
    }

    /// This side's requests that a sealed record may still answer.
    pub(crate) fn waiting(&mut self, run: &Run, side: usize) -> &mut VecDeque<Request> {
        let pending = &mut self.pending[side];
        while pending
            .front()
            .is_some_and(|oldest| run.time_ns.saturating_sub(oldest.time_ns) > run.limits.pending_wait_ns)
        {
            pending.pop_front();
        }
        pending
    }

    /// A request of this side begins to wait.
    pub(crate) fn remember(&mut self, run: &mut Run, side: usize, request: Request) {
        let pending = &mut self.pending[side];
        if pending.len() as u64 >= run.limits.pending_requests && pending.pop_front().is_some() {
            run.counters.pending_requests_dropped += 1;
        }
        pending.push_back(request);
    }

    /// The request this clear answer echoes: same claim, else one whose claim could not be read, else the oldest.
    pub(crate) fn request_answered(&mut self, side: usize, claimed: i32) -> Option<Request> {
        let pending = &mut self.pending[1 - side];
        for wanted in [claimed, ABSENT] {
            if let Some(index) = pending.iter().position(|request| request.claimed_length == wanted) {
                return pending.remove(index);
            }
        }
        pending.pop_front()
    }

    /// Of a record that is no message: the request to whose answer it belongs, if one that was asked for would be cut so.
    pub(crate) fn request_of_lost_answer(&mut self, side: usize, length: u16, fragment: u16) -> Option<Request> {
        let pending = &mut self.pending[1 - side];
        let fragment = i32::from(fragment);
        let index = pending.iter().position(|request| {
            let whole = i32::from(HEADER_BYTES) + request.claimed_length + PADDING_BYTES as i32;
            whole > fragment && [fragment, whole % fragment].contains(&i32::from(length))
        })?;
        pending.remove(index)
    }

    /// The waiting request this sealed answer echoes: an honest one is as long. Else the smallest, so that a large decoy
    /// which nobody answers does not make a leak look like an echo.
    pub(crate) fn sealed_request_answered(
        &mut self,
        run: &Run,
        side: usize,
        length: u16,
        fragment: u16,
    ) -> Option<Request> {
        let waiting = self.waiting(run, 1 - side);
        let echoes = |request: &Request| length < fragment && request.record_length == i32::from(length);
        let index = waiting.iter().position(echoes).or_else(|| {
            let smallest = waiting.iter().enumerate().min_by_key(|(_, request)| request.record_length)?;
            Some(smallest.0)
        })?;
        waiting.remove(index)
    }
}

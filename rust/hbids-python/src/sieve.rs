//! The sieve of EVE lines as a Python class.

use hbids_eve::{Session, Stop};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

type SessionOut<'py> = (u64, i64, u64, Bound<'py, PyBytes>);

fn out(py: Python<'_>, session: Session) -> SessionOut<'_> {
    (session.flow_id, session.time_ns, session.place, PyBytes::new(py, &session.line))
}

/// See `hbids.eve.sieve.Sieve`. Boxed, since what searches with wide registers must lie aligned, and Python aligns its
/// objects to 16 bytes only.
#[pyclass]
pub struct Sieve(Box<hbids_eve::Sieve>);

#[pymethods]
impl Sieve {
    #[new]
    fn new(most_sessions: usize, most_session_bytes: usize, tells_all: bool) -> Self {
        Self(Box::new(hbids_eve::Sieve::new(most_sessions, most_session_bytes, tells_all)))
    }

    fn sift(
        &mut self,
        py: Python<'_>,
        lines: &[u8],
        start: usize,
        end: usize,
        place: u64,
        now_ns: i64,
    ) -> (u8, usize, usize) {
        let lines = &lines[..end.min(lines.len())];
        match py.detach(|| self.0.sift(lines, start, place, now_ns)) {
            Stop::End => (0, lines.len(), lines.len()),
            Stop::Event(start, end) => (1, start, end),
            Stop::Second(start, end) => (2, start, end),
        }
    }

    fn know(&mut self, flow_id: u64) {
        self.0.know(flow_id);
    }

    fn forget(&mut self, flow_id: u64) {
        self.0.forget(flow_id);
    }

    fn claim<'py>(&mut self, py: Python<'py>, flow_id: u64) -> Option<SessionOut<'py>> {
        self.0.claim(flow_id).map(|session| out(py, session))
    }

    fn tell(&mut self, flow_id: u64) {
        self.0.tell(flow_id);
    }

    fn tell_since(&mut self, time_ns: i64) {
        self.0.tell_since(time_ns);
    }

    fn told<'py>(&mut self, py: Python<'py>) -> Vec<SessionOut<'py>> {
        self.0.told().into_iter().map(|session| out(py, session)).collect()
    }

    fn flows<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.flows())
    }

    fn oldest_place(&self, start: u64) -> Option<u64> {
        self.0.oldest_place(start)
    }

    fn counts(&self) -> (u64, u64, u64, u64, u64) {
        let counts = self.0.counts();
        (counts.lines, counts.tls, counts.flows, counts.passed, counts.passed_tls13)
    }
}

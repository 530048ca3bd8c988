//! The decoder's door: chunks in, packed fact rows out.

use std::panic::{catch_unwind, AssertUnwindSafe};
#[cfg(target_os = "linux")]
use std::time::Duration;

use hbids_core::{Facts, Limits};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[cfg(target_os = "linux")]
use crate::taps::Taps;

/// `hbids.config.Limits`, read attribute by attribute.
#[derive(FromPyObject)]
struct LimitsIn {
    flows: u64,
    opening_timeout_ns: i64,
    plain_timeout_ns: i64,
    tls_timeout_ns: i64,
    closed_timeout_ns: i64,
    checkpoint_ns: i64,
    out_of_order_bytes: u64,
    out_of_order_bytes_total: u64,
    state_bytes_total: u64,
    hole_acked_wait_ns: i64,
    hole_wait_ns: i64,
    hello_bytes: u64,
    openvpn_sessions: u64,
    plain_turn_bytes: u64,
    pending_requests: u64,
    pending_wait_ns: i64,
    answer_wait_ns: i64,
    held_heartbeats: u64,
    search_bytes: u64,
    layers: u64,
    fragments: u64,
    fragment_bytes: u64,
    fragment_timeout_ns: i64,
    vxlan_ports: Vec<u16>,
    geneve_ports: Vec<u16>,
    gtp_ports: Vec<u16>,
    teredo_ports: Vec<u16>,
    radius_ports: Vec<u16>,
    eap_clues: u64,
    eap_clue_timeout_ns: i64,
}

impl From<LimitsIn> for Limits {
    fn from(given: LimitsIn) -> Self {
        Self {
            flows: given.flows,
            opening_timeout_ns: given.opening_timeout_ns,
            plain_timeout_ns: given.plain_timeout_ns,
            tls_timeout_ns: given.tls_timeout_ns,
            closed_timeout_ns: given.closed_timeout_ns,
            checkpoint_ns: given.checkpoint_ns,
            out_of_order_bytes: given.out_of_order_bytes,
            out_of_order_bytes_total: given.out_of_order_bytes_total,
            state_bytes_total: given.state_bytes_total,
            hole_acked_wait_ns: given.hole_acked_wait_ns,
            hole_wait_ns: given.hole_wait_ns,
            hello_bytes: given.hello_bytes,
            openvpn_sessions: given.openvpn_sessions,
            plain_turn_bytes: given.plain_turn_bytes,
            pending_requests: given.pending_requests,
            pending_wait_ns: given.pending_wait_ns,
            answer_wait_ns: given.answer_wait_ns,
            held_heartbeats: given.held_heartbeats,
            search_bytes: given.search_bytes,
            layers: given.layers,
            fragments: given.fragments,
            fragment_bytes: given.fragment_bytes,
            fragment_timeout_ns: given.fragment_timeout_ns,
            vxlan_ports: given.vxlan_ports,
            geneve_ports: given.geneve_ports,
            gtp_ports: given.gtp_ports,
            teredo_ports: given.teredo_ports,
            radius_ports: given.radius_ports,
            eap_clues: given.eap_clues,
            eap_clue_timeout_ns: given.eap_clue_timeout_ns,
        }
    }
}

type Tables<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// The native engine.
#[pyclass]
pub struct Engine {
    engine: hbids_core::Engine,
    panics: u64,
}

impl Engine {
    /// Run a step with the interpreter released. A panic costs the rest of the step and all flow state, and is counted;
    /// rows already written are kept.
    fn step<'py>(
        &mut self,
        py: Python<'py>,
        work: impl FnOnce(&mut hbids_core::Engine) -> Facts + Send,
    ) -> Tables<'py> {
        let engine = &mut self.engine;
        let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(|| work(engine))));
        let facts = outcome.unwrap_or_else(|_| {
            self.panics += 1;
            self.engine.recover()
        });
        (PyBytes::new(py, &facts.heartbeats), PyBytes::new(py, &facts.sessions), PyBytes::new(py, &facts.flows))
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (limits, number = 0))]
    fn new(limits: LimitsIn, number: u16) -> Self {
        Self { engine: hbids_core::Engine::numbered(limits.into(), number), panics: 0 }
    }

    /// Decode the frames (rows of FRAME_DTYPE) that lie in `data`; the rows of the three tables, once there are so many.
    fn feed<'py>(
        &mut self,
        py: Python<'py>,
        data: &[u8],
        frames: &[u8],
        at_least_rows: usize,
    ) -> PyResult<Tables<'py>> {
        if frames.len() % hbids_core::FRAME_ROW_BYTES != 0 {
            return Err(PyValueError::new_err("frames: not a whole number of FRAME_DTYPE rows"));
        }
        Ok(self.step(py, |engine| engine.feed(data, frames, at_least_rows)))
    }

    /// Decode what the taps hear, waiting for it as long as that, or so long in all when it does not end (milliseconds);
    /// the rows of the three tables. Raises OSError when an interface can no longer be heard.
    #[cfg(target_os = "linux")]
    fn watch<'py>(
        &mut self,
        py: Python<'py>,
        taps: &mut Taps,
        longest_wait_ms: u64,
        most_ms: u64,
    ) -> PyResult<Tables<'py>> {
        let (longest_wait, most) = (Duration::from_millis(longest_wait_ms), Duration::from_millis(most_ms));
        let (panics, mut heard) = (self.panics, Ok(()));
        let tables = self.step(py, |engine| {
            heard = taps.0.watch(engine, longest_wait, most);
            engine.take(0)
        });
        if self.panics > panics {
            taps.0.give_up();
        }
        heard?;
        Ok(tables)
    }

    /// Let time go on while nothing arrives; the rows of the three tables.
    fn tick<'py>(&mut self, py: Python<'py>, time_ns: i64) -> Tables<'py> {
        self.step(py, |engine| {
            engine.tick(time_ns);
            engine.take(0)
        })
    }

    /// Whether any flow is open.
    fn has_flows(&self) -> bool {
        self.engine.has_flows()
    }

    /// End so many flows; the rows of the three tables.
    fn finish<'py>(&mut self, py: Python<'py>, most: usize) -> Tables<'py> {
        self.step(py, |engine| engine.finish(most))
    }

    /// Names and totals.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        let mut list = self.engine.counters().list();
        list.push(("chunk_panics", self.panics));
        list
    }

    /// For tests of the recovery: the next chunk ends in a panic.
    fn panic_in_next_chunk(&mut self) {
        self.engine.panic_in_next_chunk();
    }
}

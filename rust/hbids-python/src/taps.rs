//! Live interfaces as a Python class.

use hbids_live::{Counters, Instruction, Options, Share};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// `hbids.capture.live.Tap`, read attribute by attribute.
#[derive(FromPyObject)]
struct TapIn {
    interface_index: i32,
    link_type: u16,
    block_bytes: u32,
    blocks: u32,
    block_timeout_ms: u32,
    filter: Vec<Instruction>,
    promiscuous: bool,
    only_incoming: bool,
    hardware_time: bool,
    longest_frame_bytes: u32,
}

impl From<TapIn> for Options {
    fn from(given: TapIn) -> Self {
        Self {
            interface_index: given.interface_index,
            link_type: given.link_type,
            block_bytes: given.block_bytes,
            blocks: given.blocks,
            block_timeout_ms: given.block_timeout_ms,
            filter: given.filter,
            promiscuous: given.promiscuous,
            only_incoming: given.only_incoming,
            hardware_time: given.hardware_time,
            longest_frame_bytes: given.longest_frame_bytes,
        }
    }
}

/// What one engine hears: a ring of each interface.
#[pyclass]
#[derive(Default)]
pub struct Taps(pub(crate) hbids_live::Taps);

#[pymethods]
impl Taps {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Open one more interface, with the `share` of its frames that its group leaves this engine (the group, None for the
    /// first, and a random odd number) or all; the group that the others must join. Raises OSError.
    fn open(&mut self, tap: TapIn, share: Option<(Option<u16>, u32)>) -> PyResult<Option<u16>> {
        let share = share.map(|(group, multiplier)| Share { group, multiplier });
        self.0.open(&tap.into(), share).map_err(PyErr::from)
    }

    /// Keep copies of the last frames, so many bytes.
    fn keep_recent(&mut self, most_bytes: usize) {
        self.0.keep_recent(most_bytes);
    }

    /// The frames that are kept: data, and rows of FRAME_DTYPE.
    fn recent<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        self.0.recent().map(|chunk| (PyBytes::new(py, &chunk.data), PyBytes::new(py, &chunk.rows))).collect()
    }

    /// Hear, from now on. Raises OSError.
    fn start(&mut self) -> PyResult<()> {
        self.0.start().map_err(PyErr::from)
    }

    /// Hear nothing new; what has come is still to be watched. Raises OSError.
    fn stop(&mut self) -> PyResult<()> {
        self.0.stop().map_err(PyErr::from)
    }

    /// Names and totals of each interface. Raises OSError.
    fn counters(&mut self) -> PyResult<Vec<Vec<(&'static str, u64)>>> {
        Ok(self.0.counters()?.iter().map(Counters::list).collect())
    }
}

//! The splitter of capture files as a Python class.

use std::panic::{catch_unwind, AssertUnwindSafe};

use hbids_core::capture;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

type FaultNumbers = (u8, u64, usize, usize, usize);

/// Splits one capture file into frames; see `hbids.capture.splitter.Splitter`.
#[pyclass]
#[derive(Default)]
pub struct Splitter(capture::Splitter);

#[pymethods]
impl Splitter {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    #[pyo3(signature = (chunk, *, last))]
    fn push<'py>(
        &mut self,
        py: Python<'py>,
        chunk: &[u8],
        last: bool,
    ) -> PyResult<(Bound<'py, PyBytes>, usize, Vec<FaultNumbers>)> {
        if u32::try_from(chunk.len()).is_err() {
            return Err(PyValueError::new_err("a chunk must be smaller than 4 GiB"));
        }
        let splitter = AssertUnwindSafe(&mut self.0);
        let split = py.detach(|| catch_unwind(move || { splitter }.0.push(chunk, last)));
        let Ok(split) = split else {
            let failure = (capture::FaultKind::EngineFailure as u8, 0, 0, 0, 1);
            return Ok((PyBytes::new(py, &[]), 0, vec![failure]));
        };
        let faults = split.faults.iter().map(|f| (f.kind as u8, f.offset, f.seen, f.expected, f.times)).collect();
        Ok((PyBytes::new(py, &split.rows), split.consumed, faults))
    }
}

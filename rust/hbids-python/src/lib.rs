//! The thin door between Python and the native engine of hbids: bytes in, bytes out, the interpreter released meanwhile.

use pyo3::prelude::*;

#[pymodule]
mod _native {}

//! The thin door between Python and the native engine of hbids: bytes in, bytes out, the interpreter released meanwhile.

mod engine;
mod splitter;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::splitter::Splitter;
}

//! The thin door between Python and the native engine of hbids: bytes in, bytes out, the interpreter released meanwhile.

mod engine;
mod sieve;
mod splitter;
#[cfg(target_os = "linux")]
mod taps;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::sieve::Sieve;
    #[pymodule_export]
    use super::splitter::Splitter;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::taps::Taps;
}

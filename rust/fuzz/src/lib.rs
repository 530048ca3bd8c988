//! What the fuzz targets share: frames made from a fuzzer's bytes, an engine with small limits, and what must hold.

mod check;
mod frames;
mod input;
mod rows;
#[path = "../../hbids-core/tests/small_limits/mod.rs"]
mod small_limits;

pub use check::check;
pub use frames::{Envelope, Frames, Host};
pub use input::Input;

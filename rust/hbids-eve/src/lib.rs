//! The sieve: Suricata's EVE lines go in by the block; what can be read off their bytes is, and what has to be parsed is
//! pointed at. It mirrors `hbids/eve/sieve.py` and says the same of the same bytes, whatever they are.

mod flow;
mod line;
mod scan;
mod sieve;
mod waiting;

pub use flow::FLOW_ROW_BYTES;
pub use sieve::{Counts, Sieve, Stop};
pub use waiting::Session;

//! The native engine of hbids: frames in, facts out. It mirrors `hbids/decode/reference` module by module and gives the
//! same rows for the same frames.

pub mod capture;

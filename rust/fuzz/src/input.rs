//! A fuzzer's bytes, taken from the front. Where they end, zeros follow: every input means something.

/// The bytes that are left.
#[derive(Clone, Copy)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    pub fn u16(&mut self) -> u16 {
        u16::from(self.u8()) << 8 | u16::from(self.u8())
    }

    /// As many of the next `most` bytes as there are.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A byte's worth of time: from nothing over the small limits' timeouts to half a minute, and a little backwards.
    pub fn pause_ns(&mut self) -> i64 {
        match self.u8() {
            255 => -1_000_000_000,
            step @ 0..=127 => i64::from(step) * 100_000,
            step => (i64::from(step) - 127) * 250_000_000,
        }
    }
}

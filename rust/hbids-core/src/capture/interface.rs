//! The interface description block of pcapng: link type, snap length and the clock of its packets.

use super::order::Order;
use super::split::{FaultKind, Split, Unreadable};

const FIXED_BYTES: usize = 8;
const OPTION_HEADER_BYTES: usize = 4;

const END: u16 = 0;
const TIME_RESOLUTION: u16 = 9;
const TIME_OFFSET: u16 = 14;

/// What the packets of one interface have in common.
pub(super) struct Interface {
    pub link_type: u16,
    /// 0: without limit.
    pub snap_length: u32,
    /// Nanoseconds are ticks × multiplier / divisor + offset.
    multiplier: u64,
    divisor: u128,
    offset_ns: i128,
}

impl Interface {
    /// The interface described by the block at `at` with this body.
    pub fn read(order: Order, body: &[u8], at: usize, split: &mut Split) -> Result<Self, Unreadable> {
        let (Some([link_type]), Some([_, snap_length])) = (order.u16s(body), order.u32s(body)) else {
            return Err(Unreadable::new(FaultKind::InterfaceBlock, at, body.len(), FIXED_BYTES));
        };
        let mut interface = Interface { link_type, snap_length, multiplier: 1000, divisor: 1, offset_ns: 0 };
        let mut options = &body[FIXED_BYTES..];
        while let Some([code, length]) = order.u16s(options) {
            if code == END {
                break;
            }
            options = &options[OPTION_HEADER_BYTES..];
            let length = usize::from(length);
            let Some(value) = options.get(..length) else {
                split.fault(FaultKind::InterfaceOption, at, length, options.len());
                break;
            };
            match (code, value) {
                (TIME_RESOLUTION, &[resolution]) => interface.set_resolution(resolution),
                (TIME_RESOLUTION, _) => split.fault(FaultKind::InterfaceOption, at, length, 1),
                (TIME_OFFSET, _) => match order.i64(value) {
                    Some(seconds) if length == 8 => interface.offset_ns = i128::from(seconds) * 1_000_000_000,
                    _ => split.fault(FaultKind::InterfaceOption, at, length, 8),
                },
                _ => {}
            }
            // Values are padded to 32 bits.
            options = options.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(interface)
    }

    /// Exact, rounded down; the nearest time an int64 can hold.
    pub fn time_ns(&self, ticks: u64) -> i64 {
        let scaled = u128::from(ticks) * u128::from(self.multiplier);
        // Most clocks need no division, and one of 128 bits is slow.
        let since_offset = if self.divisor == 1 { scaled } else { scaled / self.divisor };
        // Below 2^94 each, so neither the conversion nor the sum can overflow.
        let time_ns = since_offset as i128 + self.offset_ns;
        time_ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The if_tsresol octet: a tick is a negative power of 10, or of 2 when the highest bit is set.
    fn set_resolution(&mut self, resolution: u8) {
        let exponent = u32::from(resolution & 0x7f);
        (self.multiplier, self.divisor) = if resolution & 0x80 != 0 {
            (1_000_000_000, 1 << exponent)
        } else if exponent <= 9 {
            (10u64.pow(9 - exponent), 1)
        } else {
            // From 10^20 on every 64-bit number of ticks is less than a nanosecond.
            (1, 10u128.pow((exponent - 9).min(20)))
        };
    }
}

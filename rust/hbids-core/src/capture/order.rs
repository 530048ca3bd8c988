//! Numbers in the byte order a file or section is written in.

/// The byte order of a file or section.
#[derive(Clone, Copy, Default)]
pub(super) enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    /// The first `N` 16-bit numbers, if they are there.
    pub fn u16s<const N: usize>(self, bytes: &[u8]) -> Option<[u16; N]> {
        let mut numbers = [0; N];
        for (number, field) in numbers.iter_mut().zip(bytes.get(..2 * N)?.chunks_exact(2)) {
            let field = *field.first_chunk()?;
            *number = match self {
                Order::Little => u16::from_le_bytes(field),
                Order::Big => u16::from_be_bytes(field),
            };
        }
        Some(numbers)
    }

    /// The first `N` 32-bit numbers, if they are there.
    pub fn u32s<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        let mut numbers = [0; N];
        for (number, field) in numbers.iter_mut().zip(bytes.get(..4 * N)?.chunks_exact(4)) {
            let field = *field.first_chunk()?;
            *number = match self {
                Order::Little => u32::from_le_bytes(field),
                Order::Big => u32::from_be_bytes(field),
            };
        }
        Some(numbers)
    }

    /// The first 64-bit number, if it is there.
    pub fn i64(self, bytes: &[u8]) -> Option<i64> {
        let field = *bytes.first_chunk()?;
        Some(match self {
            Order::Little => i64::from_le_bytes(field),
            Order::Big => i64::from_be_bytes(field),
        })
    }
}

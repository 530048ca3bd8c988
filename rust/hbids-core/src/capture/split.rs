//! What one push of the splitter gathers.

/// Bytes of one row: `FRAME_DTYPE` of `hbids/facts.py`.
const ROW_BYTES: usize = 24;

/// What the splitter met in a file. The numbers are those of `FaultKind` in `hbids/capture/problems.py`, which also says
/// what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum FaultKind {
    Empty = 1,
    NotACapture = 2,
    EndsInHeader = 3,
    PacketTooLarge = 4,
    BlockLength = 5,
    BlockTooLarge = 6,
    BlockTrailer = 7,
    ByteOrder = 8,
    SectionVersion = 9,
    InterfaceBlock = 10,
    EngineFailure = 11,
    Truncated = 65,
    EmptyPacket = 66,
    OverSnapLength = 67,
    UnknownInterface = 68,
    PacketBlockShort = 69,
    PacketPastBlock = 70,
    InterfaceOption = 71,
    TooManyInterfaces = 72,
}

/// The first fault of a kind, and how often that kind was met.
#[derive(Debug)]
pub struct Fault {
    /// What it is.
    pub kind: FaultKind,
    /// Of the record or block, in bytes from the file's start.
    pub offset: u64,
    /// The number found; what it counts depends on the kind.
    pub seen: usize,
    /// The number that would have been right, or its limit.
    pub expected: usize,
    /// How many of the kind there were.
    pub times: usize,
}

/// Nothing from this record on can be read. The fields are those of [`Split::fault`].
pub(super) struct Unreadable {
    pub kind: FaultKind,
    pub at: usize,
    pub seen: usize,
    pub expected: usize,
}

impl Unreadable {
    pub fn new(kind: FaultKind, at: usize, seen: usize, expected: usize) -> Self {
        Unreadable { kind, at, seen, expected }
    }
}

/// The frames of one chunk.
pub struct Split {
    /// Rows of `FRAME_DTYPE`; their offsets point into the chunk.
    pub rows: Vec<u8>,
    /// Bytes of whole records walked.
    pub consumed: usize,
    /// What was wrong.
    pub faults: Vec<Fault>,
    offset: u64,
}

impl Split {
    pub(super) fn new(offset: u64, chunk_bytes: usize) -> Self {
        // Enough for frames of full Ethernet size; smaller ones let it grow.
        let rows = Vec::with_capacity(chunk_bytes / 1500 * ROW_BYTES);
        Split { rows, consumed: 0, faults: Vec::new(), offset }
    }

    #[inline]
    pub(super) fn frame(
        &mut self,
        time_ns: i64,
        data_at: usize,
        captured: u32,
        wire: u32,
        link_type: u16,
        interface: u16,
    ) {
        let mut row = [0; ROW_BYTES];
        row[..8].copy_from_slice(&time_ns.to_le_bytes());
        row[8..12].copy_from_slice(&(data_at as u32).to_le_bytes());
        row[12..16].copy_from_slice(&captured.to_le_bytes());
        row[16..20].copy_from_slice(&wire.to_le_bytes());
        row[20..22].copy_from_slice(&link_type.to_le_bytes());
        row[22..].copy_from_slice(&interface.to_le_bytes());
        self.rows.extend_from_slice(&row);
    }

    /// Note a fault of the record at `at` in the chunk.
    ///
    /// The first of a kind is kept with its numbers, the rest are counted: however many lies a chunk holds, its notes
    /// stay few.
    #[cold]
    pub(super) fn fault(&mut self, kind: FaultKind, at: usize, seen: usize, expected: usize) {
        match self.faults.iter_mut().find(|first| first.kind == kind) {
            Some(first) => first.times += 1,
            None => self.faults.push(Fault { kind, offset: self.offset + at as u64, seen, expected, times: 1 }),
        }
    }
}

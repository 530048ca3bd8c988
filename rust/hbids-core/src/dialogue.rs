//! What two sides said in plain text before TLS: see `hbids/decode/reference/dialogue.py`.

const HEAD_BYTES: usize = 16;
pub(crate) const TAIL_BYTES: usize = 112;

/// What one side said last.
pub(crate) struct Turn {
    head: [u8; HEAD_BYTES],
    tail: [u8; TAIL_BYTES],
    pub(crate) length: u32,
}

pub(crate) const SILENCE: Turn = Turn { head: [0; HEAD_BYTES], tail: [0; TAIL_BYTES], length: 0 };

impl Turn {
    fn kept(&self, most: usize) -> usize {
        most.min(self.length as usize)
    }

    /// The turn goes on.
    fn hear(&mut self, data: &[u8]) {
        let (head, tail) = (self.kept(HEAD_BYTES), self.kept(TAIL_BYTES));
        let more = data.len().min(HEAD_BYTES - head);
        self.head[head..head + more].copy_from_slice(&data[..more]);
        let added = &data[data.len().saturating_sub(TAIL_BYTES)..];
        let stays = tail.min(TAIL_BYTES - added.len());
        self.tail.copy_within(tail - stays..tail, 0);
        self.tail[stays..stays + added.len()].copy_from_slice(added);
        self.length = self.length.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head[..self.kept(HEAD_BYTES)]
    }

    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail[..self.kept(TAIL_BYTES)]
    }

    /// All of it; empty when it was longer than what is kept.
    pub(crate) fn whole(&self) -> &[u8] {
        if self.length as usize <= TAIL_BYTES {
            self.tail()
        } else {
            &[]
        }
    }

    /// Its last line without the line's end, in capitals, as far as it is kept; empty when the line goes on.
    pub(crate) fn last_line(&self) -> Vec<u8> {
        let tail = self.tail();
        if tail.last() != Some(&b'\n') {
            return Vec::new();
        }
        let end = tail.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
        let begin = tail[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        tail[begin..end].to_ascii_uppercase()
    }
}

/// What it takes in memory.
pub(crate) const DIALOGUE_BYTES: u64 = 288;

/// The last turn of each side.
pub(crate) struct Dialogue {
    pub(crate) turns: [Turn; 2],
    /// Who spoke last.
    pub(crate) speaker: Option<u8>,
}

impl Dialogue {
    pub(crate) const fn new() -> Self {
        Self { turns: [SILENCE; 2], speaker: None }
    }

    /// A side says something; how long its turn is now.
    pub(crate) fn hear(&mut self, side: usize, data: &[u8]) -> u32 {
        if self.speaker.map(usize::from) != Some(side) {
            self.turns[side].length = 0;
            self.speaker = Some(u8::from(side == 1));
        }
        self.turns[side].hear(data);
        self.turns[side].length
    }
}

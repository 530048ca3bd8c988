//! Which lines matter, told from their bytes.

use memchr::memmem;

const TYPE: &[u8] = b"\"event_type\":";

/// What is done with a line of a type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tls,
    Flow,
    Netflow,
    Frame,
    /// It is parsed, whatever it holds.
    Parsed,
}

impl Kind {
    /// Of the text behind the key.
    fn of(behind: &[u8]) -> Option<Self> {
        let value = behind.strip_prefix(b" ").or(behind.strip_prefix(b"\t")).unwrap_or(behind).strip_prefix(b"\"")?;
        const KINDS: [(&[u8], Kind); 8] = [
            (b"flow\"", Kind::Flow),
            (b"tls\"", Kind::Tls),
            (b"alert\"", Kind::Parsed),
            (b"packet\"", Kind::Parsed),
            (b"anomaly\"", Kind::Parsed),
            (b"netflow\"", Kind::Netflow),
            (b"stats\"", Kind::Parsed),
            (b"frame\"", Kind::Frame),
        ];
        KINDS.iter().find(|(word, _)| value.starts_with(word)).map(|(_, kind)| *kind)
    }
}

/// Finds lines by the words in them; made once, since preparing a search costs more than most searches.
pub(crate) struct Finder {
    event_type: memmem::Finder<'static>,
    tls: [memmem::Finder<'static>; 3],
    heartbeat: [memmem::Finder<'static>; 3],
    flow_id: memmem::Finder<'static>,
    fifteen: memmem::Finder<'static>,
    extensions: memmem::Finder<'static>,
    tls13: [memmem::Finder<'static>; 3],
}

impl Default for Finder {
    fn default() -> Self {
        let finder = |word: &'static str| memmem::Finder::new(word.as_bytes());
        let blanks = |words: [&'static str; 3]| words.map(finder);
        Self {
            event_type: memmem::Finder::new(TYPE),
            tls: blanks(["\"app_proto\":\"tls\"", "\"app_proto\": \"tls\"", "\"app_proto\":\t\"tls\""]),
            heartbeat: blanks(["\"type\":\"heartbeat\"", "\"type\": \"heartbeat\"", "\"type\":\t\"heartbeat\""]),
            flow_id: finder("\"flow_id\":"),
            fifteen: finder("15"),
            extensions: finder("\"exts\""),
            tls13: blanks(["\"version\":\"TLS 1.3\"", "\"version\": \"TLS 1.3\"", "\"version\":\t\"TLS 1.3\""]),
        }
    }
}

impl Finder {
    /// The first line behind `from` of a type that is read: where it begins and ends. `from` is where a line begins.
    pub(crate) fn next_line(&self, lines: &[u8], from: usize) -> Option<(Kind, usize, usize)> {
        let mut at = from;
        loop {
            let found = at + self.event_type.find(&lines[at..])?;
            at = found + TYPE.len();
            if let Some(kind) = Kind::of(&lines[at..]) {
                let start = memchr::memrchr(b'\n', &lines[from..found]).map_or(from, |newline| from + newline + 1);
                let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |newline| at + newline + 1);
                return Some((kind, start, end));
            }
        }
    }

    /// Whether Suricata calls the flow TLS.
    pub(crate) fn is_tls(&self, line: &[u8]) -> bool {
        self.tls.iter().any(|finder| finder.find(line).is_some())
    }

    /// Whether the frame is a heartbeat.
    pub(crate) fn is_heartbeat(&self, line: &[u8]) -> bool {
        self.heartbeat.iter().any(|finder| finder.find(line).is_some())
    }

    /// Whether a `tls` event is of TLS 1.3.
    pub(crate) fn is_tls13(&self, line: &[u8]) -> bool {
        self.tls13.iter().any(|finder| finder.find(line).is_some())
    }

    /// The first number that stands where a flow_id does.
    pub(crate) fn flow_id(&self, line: &[u8]) -> Option<u64> {
        self.flow_id.find_iter(line).find_map(|at| {
            let behind = &line[at + b"\"flow_id\":".len()..];
            let number = behind.strip_prefix(b" ").or(behind.strip_prefix(b"\t")).unwrap_or(behind);
            let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let ends = number.get(digits).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
            ((1..=18).contains(&digits) && ends)
                .then(|| number[..digits].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
        })
    }

    /// Whether a `tls` event may tell of heartbeats: in JA3's text, or in the lists of Suricata 8, there may be the
    /// number of the extension.
    pub(crate) fn concerns_heartbeats(&self, line: &[u8]) -> bool {
        let is_listed = |at: usize| {
            let before = at.checked_sub(1).map(|place| line[place]);
            matches!(before, Some(b'-' | b',')) && matches!(line.get(at + 2), Some(b'-' | b',' | b'"'))
        };
        self.fifteen.find_iter(line).any(is_listed) || self.extensions.find(line).is_some()
    }
}

//! Walking along a line that looks as Suricata writes it. Whatever looks otherwise is None: such lines are parsed.

/// `2026-11-23T17:50:59.567938+0000`.
pub(crate) const TIME_BYTES: usize = 31;
/// Of a time, up to its fraction.
pub(crate) const SECONDS_BYTES: usize = 19;
/// In the year 2255; still an i64 in nanoseconds.
const LATEST_SECOND: i64 = 9_000_000_000;
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
const IPV6_TEXT_BYTES: usize = 39;

/// What of a line has not been walked yet.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    /// These bytes.
    pub(crate) fn eat(&mut self, word: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    /// These bytes, if they are there.
    pub(crate) fn try_eat(&mut self, word: &[u8]) -> bool {
        self.eat(word).is_some()
    }

    /// A whole number of at most so many digits (18 fit) as JSON writes it.
    pub(crate) fn number(&mut self, most_digits: usize) -> Option<u64> {
        let digits = self.0.iter().take(most_digits + 1).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at_checked(digits)?;
        if digits == 0 || digits > most_digits || (digits > 1 && number[0] == b'0') {
            return None;
        }
        self.0 = rest;
        Some(number.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
    }

    /// A number of at most 16 bits.
    pub(crate) fn short(&mut self) -> Option<u16> {
        u16::try_from(self.number(5)?).ok()
    }

    /// What stands up to the next quote, which is eaten, too: printable ASCII without anything escaped.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        self.eat(b"\"")?;
        Some(text)
    }

    /// An address up to the next quote, as sixteen bytes.
    pub(crate) fn address(&mut self) -> Option<[u8; 16]> {
        let text = self.text()?;
        if text.len() == IPV6_TEXT_BYTES {
            ipv6(text)
        } else {
            ipv4(text)
        }
    }

    /// A time up to the next quote: its text.
    pub(crate) fn time(&mut self) -> Option<&'a [u8; TIME_BYTES]> {
        let (time, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        self.eat(b"\"")?;
        Some(time)
    }
}

/// Nanoseconds of a time as Suricata writes it.
pub(crate) fn time_ns(time: &[u8; TIME_BYTES]) -> Option<i64> {
    let [year, month, day, hour, minute, second] =
        [&time[..4], &time[5..7], &time[8..10], &time[11..13], &time[14..16], &time[17..19]].map(digits);
    let (year, month, day, hour, minute, second) = (year?, month?, day?, hour?, minute?, second?);
    let (micros, offset) = (digits(&time[20..26])?, offset_s(time)?);
    if [time[4], time[7], time[10], time[13], time[16], time[19]] != *b"--T::." {
        return None;
    }
    if day < 1 || day > days_in(year, month)? || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    (0..=LATEST_SECOND).contains(&seconds).then(|| seconds * 1_000_000_000 + micros * 1_000)
}

/// Whether it looks like a time, whatever its seconds are.
pub(crate) fn is_fraction_and_offset(time: &[u8; TIME_BYTES]) -> bool {
    time[19] == b'.' && digits(&time[20..26]).is_some() && offset_s(time).is_some()
}

/// The offset from UTC, up to 14:59.
fn offset_s(time: &[u8; TIME_BYTES]) -> Option<i64> {
    let (hours, minutes) = (digits(&time[27..29])?, digits(&time[29..31])?);
    let seconds = hours * 3_600 + minutes * 60;
    match time[26] {
        _ if hours > 14 || minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn days_in(year: i64, month: i64) -> Option<i64> {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => Some(29),
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// Of the Gregorian calendar, years beginning in March so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day
        - 719_469
}

fn ipv4(text: &[u8]) -> Option<[u8; 16]> {
    let mut address = [0; 16];
    address[..12].copy_from_slice(&MAPPED);
    let mut cursor = Cursor(text);
    for (number, octet) in address[12..].iter_mut().enumerate() {
        if number > 0 {
            cursor.eat(b".")?;
        }
        *octet = u8::try_from(cursor.number(3)?).ok()?;
    }
    cursor.0.is_empty().then_some(address)
}

/// Eight groups of four small digits: so Suricata writes all of them.
fn ipv6(text: &[u8]) -> Option<[u8; 16]> {
    let mut address = [0; 16];
    for (number, pair) in address.chunks_mut(2).enumerate() {
        let group = text.get(number * 5..)?;
        if group.get(4).is_some_and(|byte| *byte != b':') {
            return None;
        }
        let word = group.get(..4)?.iter().try_fold(0, |value: u16, byte| {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            Some(value << 4 | u16::from(digit))
        })?;
        pair.copy_from_slice(&word.to_be_bytes());
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::{ipv4, ipv6, time_ns};

    #[test]
    fn times_are_those_of_the_calendar() {
        for (time, seconds) in [
            (b"1970-01-01T00:00:00.000000+0000", Some(0)),
            (b"2000-02-29T23:59:59.000000+0000", Some(951_868_799)),
            (b"2026-11-23T17:50:59.000000+0000", Some(1_795_456_259)),
            (b"2026-11-23T17:50:59.000000+0130", Some(1_795_450_859)),
            (b"2026-11-23T17:50:59.000000-0130", Some(1_795_461_659)),
            (b"2255-03-14T16:00:00.000000+0000", Some(9_000_000_000)),
            (b"2255-03-14T16:00:01.000000+0000", None),
            (b"1970-01-01T00:00:00.000000+0100", None),
            (b"2026-02-29T00:00:00.000000+0000", None),
            (b"2100-02-29T00:00:00.000000+0000", None),
            (b"2026-13-01T00:00:00.000000+0000", None),
            (b"2026-11-00T00:00:00.000000+0000", None),
            (b"2026-11-23T24:00:00.000000+0000", None),
            (b"2026-11-23T17:50:60.000000+0000", None),
            (b"2026-11-23T17:50:59.000000+1500", None),
            (b"2026-11-23T17:50:59.00000 +0000", None),
            (b"2026-11-23 17:50:59.000000+0000", None),
        ] {
            assert_eq!(time_ns(time), seconds.map(|seconds| seconds * 1_000_000_000), "{}", time.escape_ascii());
        }
        assert_eq!(time_ns(b"1970-01-01T00:00:01.000002+0000"), Some(1_000_002_000));
    }

    #[test]
    fn addresses_are_sixteen_bytes() {
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 255, 1];
        assert_eq!(ipv4(b"10.0.255.1"), Some(mapped));
        assert_eq!(ipv6(b"0000:0000:0000:0000:0000:ffff:0a00:ff01"), Some(mapped));
        for text in ["10.0.0.256", "10.0.0", "10.0.0.1.", "010.0.0.1", "", "10.0.0.1 "] {
            assert_eq!(ipv4(text.as_bytes()), None, "{text}");
        }
        for text in ["0000:0000:0000:0000:0000:FFFF:0a00:ff01", "0000:0000:0000:0000:0000:ffff:0a00.ff01", "::1"] {
            assert_eq!(ipv6(text.as_bytes()), None, "{text}");
        }
    }
}

//! ClientHello and ServerHello, and the fingerprints made of them. Reading is lenient: a length that claims more than
//! there is, is cut to what is there. The first of several equal extensions counts.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use ahash::RandomState;
use md5::{Digest, Md5};
use sha2::Sha256;

const EXT_SNI: u16 = 0;
const EXT_MAX_FRAGMENT: u16 = 1;
const EXT_GROUPS: u16 = 10;
const EXT_POINT_FORMATS: u16 = 11;
const EXT_SIGNATURES: u16 = 13;
const EXT_HEARTBEAT: u16 = 15;
const EXT_ALPN: u16 = 16;
const EXT_ENCRYPT_THEN_MAC: u16 = 22;
const EXT_PRE_SHARED_KEY: u16 = 41;
const EXT_VERSIONS: u16 = 43;
/// Version and random.
pub(crate) const MINIMUM_BYTES: usize = 34;
pub(crate) const FULL_FRAGMENT: u16 = 16_384;
/// An extension or length that is not there.
pub(crate) const ABSENT: i16 = -1;

/// Extensions in wire order, over the bytes of the hello.
struct Extensions<'a>(&'a [u8]);

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let number = be16(self.0)?;
        if self.0.len() < 4 {
            return None;
        }
        let value = vector16(&self.0[2..]);
        self.0 = &self.0[4 + value.len()..];
        Some((number, value))
    }
}

fn first(extensions: &[u8], wanted: u16) -> Option<&[u8]> {
    Extensions(extensions).find(|(number, _)| *number == wanted).map(|(_, value)| value)
}

fn heartbeat_mode(extensions: &[u8]) -> i16 {
    first(extensions, EXT_HEARTBEAT).map_or(ABSENT, |value| value.first().map_or(0, |mode| i16::from(*mode)))
}

fn be16(data: &[u8]) -> Option<u16> {
    data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn vector8(data: &[u8]) -> &[u8] {
    data.split_first().map_or(&[], |(length, rest)| &rest[..rest.len().min(usize::from(*length))])
}

fn vector16(data: &[u8]) -> &[u8] {
    be16(data).map_or(&[], |length| {
        let rest = &data[2..];
        &rest[..rest.len().min(usize::from(length))]
    })
}

fn skip(data: &[u8], count: usize) -> &[u8] {
    data.get(count..).unwrap_or(&[])
}

fn words(data: &[u8]) -> impl Iterator<Item = u16> + '_ {
    data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// RFC 8701: reserved values that clients sprinkle in at random.
fn is_grease(number: u16) -> bool {
    number & 0x0F0F == 0x0A0A && number >> 8 == number & 0xFF
}

/// What a ClientHello says, over the bytes of its body.
pub(crate) struct ClientHello<'a> {
    pub(crate) version: u16,
    pub(crate) random: &'a [u8],
    pub(crate) session_id: &'a [u8],
    ciphers: &'a [u8],
    extensions: &'a [u8],
    is_dtls: bool,
}

impl<'a> ClientHello<'a> {
    /// A handshake message body of type 1; None when it is too short to be one. The cookie of DTLS is left out.
    pub(crate) fn parse(body: &'a [u8], is_dtls: bool) -> Option<Self> {
        if body.len() < MINIMUM_BYTES {
            return None;
        }
        let session_id = vector8(&body[34..]);
        let mut rest = skip(body, 35 + session_id.len());
        if is_dtls {
            rest = skip(rest, 1 + vector8(rest).len());
        }
        let ciphers = vector16(rest);
        let rest = skip(rest, 2 + ciphers.len());
        let rest = skip(rest, 1 + vector8(rest).len()); // compression methods
        let version = be16(body)?;
        Some(Self { version, random: &body[2..34], session_id, ciphers, extensions: vector16(rest), is_dtls })
    }

    pub(crate) fn heartbeat_mode(&self) -> i16 {
        heartbeat_mode(self.extensions)
    }

    /// First name of type host_name (RFC 6066 section 3).
    pub(crate) fn server_name(&self) -> &'a [u8] {
        let names = vector16(first(self.extensions, EXT_SNI).unwrap_or(&[]));
        if names.first() == Some(&0) {
            vector16(&names[1..])
        } else {
            &[]
        }
    }

    fn protocols(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = vector16(first(self.extensions, EXT_ALPN).unwrap_or(&[]));
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let name = vector8(rest);
            rest = &rest[1 + name.len()..];
            Some(name)
        })
    }

    /// Append the ALPN names, comma-joined and cut at `most` bytes.
    pub(crate) fn join_protocols(&self, text: &mut Vec<u8>, most: usize) {
        let start = text.len();
        for (index, name) in self.protocols().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend_from_slice(name);
            if text.len() - start >= most {
                text.truncate(start + most);
                return;
            }
        }
    }

    fn list(&self, extension: u16) -> &'a [u8] {
        vector16(first(self.extensions, extension).unwrap_or(&[]))
    }

    fn point_formats(&self) -> &'a [u8] {
        vector8(first(self.extensions, EXT_POINT_FORMATS).unwrap_or(&[]))
    }

    fn versions(&self) -> &'a [u8] {
        vector8(first(self.extensions, EXT_VERSIONS).unwrap_or(&[]))
    }

    /// MD5 over version, ciphers, extensions, groups and point formats, GREASE left out.
    fn ja3(&self) -> [u8; 32] {
        let mut text = format!("{},", self.version);
        join_decimal(&mut text, words(self.ciphers));
        text.push(',');
        join_decimal(&mut text, Extensions(self.extensions).map(|(number, _)| number));
        text.push(',');
        join_decimal(&mut text, words(self.list(EXT_GROUPS)));
        text.push(',');
        join_decimal(&mut text, self.point_formats().iter().map(|format| u16::from(*format)));
        md5_hex(&text)
    }

    /// JA4 of FoxIO (the client fingerprint, BSD-3-Clause).
    fn ja4(&self) -> Vec<u8> {
        let versions = words(self.versions()).filter(|number| !is_grease(*number));
        let highest = if self.is_dtls { versions.min() } else { versions.max() }; // DTLS counts down from 0xfeff
        let highest = highest.unwrap_or(self.version);
        let transport = if self.is_dtls { 'd' } else { 't' };
        let version = match highest {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            0xFEFF => "d1",
            0xFEFD => "d2",
            0xFEFC => "d3",
            _ => "00",
        };
        let mut ciphers: Vec<u16> = words(self.ciphers).filter(|number| !is_grease(*number)).collect();
        let numbers: Vec<u16> =
            Extensions(self.extensions).map(|(number, _)| number).filter(|number| !is_grease(*number)).collect();
        let name = if numbers.contains(&EXT_SNI) { 'd' } else { 'i' };
        let mut listed: Vec<u16> =
            numbers.iter().copied().filter(|number| ![EXT_SNI, EXT_ALPN].contains(number)).collect();
        let cipher_count = ciphers.len().min(99);
        let extension_count = numbers.len().min(99);
        ciphers.sort_unstable();
        listed.sort_unstable();
        let mut listed_text = join_hex(&listed);
        let signatures: Vec<u16> = words(self.list(EXT_SIGNATURES)).filter(|number| !is_grease(*number)).collect();
        if !listed_text.is_empty() && !signatures.is_empty() {
            listed_text.push('_');
            listed_text.push_str(&join_hex(&signatures));
        }
        let protocol = ja4_protocol(self.protocols().next().unwrap_or(&[]));
        format!(
            "{transport}{version}{name}{cipher_count:02}{extension_count:02}{protocol}_{}_{}",
            sha12(&join_hex(&ciphers)),
            sha12(&listed_text)
        )
        .into_bytes()
    }

    /// Everything the fingerprints depend on, as bytes.
    fn shape(&self) -> Vec<u8> {
        let mut shape = Vec::with_capacity(256);
        let mut part = |bytes: &[u8]| {
            shape.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            shape.extend_from_slice(bytes);
        };
        part(&[u8::from(self.is_dtls)]);
        part(&self.version.to_be_bytes());
        part(self.ciphers);
        part(self.list(EXT_GROUPS));
        part(self.point_formats());
        part(self.versions());
        part(self.list(EXT_SIGNATURES));
        part(self.protocols().next().unwrap_or(&[]));
        for (number, _) in Extensions(self.extensions) {
            shape.extend_from_slice(&number.to_be_bytes());
        }
        shape
    }
}

/// What a ServerHello says, over the bytes of its body.
pub(crate) struct ServerHello<'a> {
    pub(crate) version: u16,
    pub(crate) random: &'a [u8],
    pub(crate) session_id: &'a [u8],
    pub(crate) cipher: u16,
    extensions: &'a [u8],
}

impl<'a> ServerHello<'a> {
    /// A handshake message body of type 2; None when it is too short to name a cipher suite.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        if body.len() < MINIMUM_BYTES {
            return None;
        }
        let session_id = vector8(&body[34..]);
        let rest = skip(body, 35 + session_id.len());
        Some(Self {
            version: be16(body)?,
            random: &body[2..34],
            session_id,
            cipher: be16(rest)?,
            extensions: vector16(skip(rest, 3)),
        })
    }

    /// The version spoken: supported_versions where present (RFC 8446 section 4.2.1).
    pub(crate) fn negotiated_version(&self) -> u16 {
        first(self.extensions, EXT_VERSIONS).and_then(be16).unwrap_or(self.version)
    }

    pub(crate) fn heartbeat_mode(&self) -> i16 {
        heartbeat_mode(self.extensions)
    }

    pub(crate) fn protocol(&self) -> &'a [u8] {
        vector8(vector16(first(self.extensions, EXT_ALPN).unwrap_or(&[])))
    }

    pub(crate) fn encrypt_then_mac(&self) -> bool {
        first(self.extensions, EXT_ENCRYPT_THEN_MAC).is_some()
    }

    pub(crate) fn pre_shared_key(&self) -> bool {
        first(self.extensions, EXT_PRE_SHARED_KEY).is_some()
    }

    /// Largest plaintext of a record (RFC 6066 section 4).
    pub(crate) fn fragment_bytes(&self) -> u16 {
        match first(self.extensions, EXT_MAX_FRAGMENT).and_then(|value| value.first()) {
            Some(code @ 1..=4) => 256 << code,
            _ => FULL_FRAGMENT,
        }
    }

    /// Everything the fingerprint depends on, as bytes.
    fn shape(&self) -> Vec<u8> {
        let mut shape = Vec::with_capacity(32);
        shape.extend_from_slice(&self.version.to_be_bytes());
        shape.extend_from_slice(&self.cipher.to_be_bytes());
        for (number, _) in Extensions(self.extensions) {
            shape.extend_from_slice(&number.to_be_bytes());
        }
        shape
    }

    /// MD5 over version, cipher and extensions, GREASE left out.
    fn ja3s(&self) -> [u8; 32] {
        let mut text = format!("{},{},", self.version, self.cipher);
        join_decimal(&mut text, Extensions(self.extensions).map(|(number, _)| number));
        md5_hex(&text)
    }
}

/// JA3 and JA4 of a ClientHello.
pub(crate) struct Fingerprints {
    pub(crate) ja3: [u8; 32],
    pub(crate) ja4: Vec<u8>,
}

/// Many peers send the same hello but for its random: fingerprints are computed once a shape.
#[derive(Default)]
pub(crate) struct FingerprintCache {
    clients: HashMap<Vec<u8>, Arc<Fingerprints>, RandomState>,
    servers: HashMap<Vec<u8>, [u8; 32], RandomState>,
}

/// Shapes remembered: far more than stacks exist; clients that vary every hello only lose the saving.
const CACHE_SHAPES: usize = 4_096;
/// Longer ones are not remembered: no stack's hello has so much to say.
const CACHE_SHAPE_BYTES: usize = 1_024;

impl FingerprintCache {
    pub(crate) fn of_client(&mut self, hello: &ClientHello<'_>) -> Arc<Fingerprints> {
        let make = || Arc::new(Fingerprints { ja3: hello.ja3(), ja4: hello.ja4() });
        remembered(&mut self.clients, hello.shape(), make)
    }

    /// JA3S.
    pub(crate) fn of_server(&mut self, hello: &ServerHello<'_>) -> [u8; 32] {
        remembered(&mut self.servers, hello.shape(), || hello.ja3s())
    }
}

fn remembered<Value: Clone>(
    known: &mut HashMap<Vec<u8>, Value, RandomState>,
    shape: Vec<u8>,
    make: impl FnOnce() -> Value,
) -> Value {
    if shape.len() > CACHE_SHAPE_BYTES {
        return make();
    }
    if known.len() >= CACHE_SHAPES && !known.contains_key(&shape) {
        known.clear();
    }
    known.entry(shape).or_insert_with(make).clone()
}

fn join_decimal(text: &mut String, numbers: impl Iterator<Item = u16>) {
    let mut separator = "";
    for number in numbers.filter(|number| !is_grease(*number)) {
        let _ = write!(text, "{separator}{number}");
        separator = "-";
    }
}

fn join_hex(numbers: &[u16]) -> String {
    numbers.iter().map(|number| format!("{number:04x}")).collect::<Vec<_>>().join(",")
}

fn ja4_protocol(name: &[u8]) -> String {
    let (Some(&head), Some(&tail)) = (name.first(), name.last()) else {
        return "00".to_owned();
    };
    if head.is_ascii_alphanumeric() && tail.is_ascii_alphanumeric() {
        return [char::from(head), char::from(tail)].iter().collect();
    }
    format!("{:x}{:x}", head >> 4, tail & 0x0F)
}

fn md5_hex(text: &str) -> [u8; 32] {
    let mut hex = [0; 32];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(Md5::digest(text.as_bytes())) {
        pair.copy_from_slice(&hex_digits(byte));
    }
    hex
}

fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0x0F)]]
}

fn sha12(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    Sha256::digest(text.as_bytes()).iter().take(6).flat_map(|byte| hex_digits(*byte)).map(char::from).collect()
}

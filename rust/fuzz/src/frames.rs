//! Frames in the form in which an engine is fed, and the IP packets that some targets put into them.

use hbids_core::FRAME_ROW_BYTES;

const RAW_IP: u16 = 101;
const TCP: u8 = 6;
const UDP: u8 = 17;
const START_NS: i64 = 1_700_000_000_000_000_000;

/// Who sends. The server has the lower address and port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Client,
    Server,
}

/// Frames back to back, and their rows of `FRAME_DTYPE`.
pub struct Frames {
    pub data: Vec<u8>,
    pub rows: Vec<u8>,
    pub time_ns: i64,
}

impl Default for Frames {
    fn default() -> Self {
        Self { data: Vec::new(), rows: Vec::new(), time_ns: START_NS }
    }
}

impl Frames {
    pub fn pause(&mut self, pause_ns: i64) {
        self.time_ns += pause_ns;
    }

    /// A frame that was `cut` bytes longer on the wire.
    pub fn frame(&mut self, link_type: u16, frame: &[u8], cut: usize) {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        self.rows.extend_from_slice(&self.time_ns.to_le_bytes());
        self.rows.extend_from_slice(&number(self.data.len()));
        self.rows.extend_from_slice(&number(frame.len()));
        self.rows.extend_from_slice(&number(frame.len() + cut));
        self.rows.extend_from_slice(&link_type.to_le_bytes());
        self.rows.extend_from_slice(&[0, 0]);
        self.data.extend_from_slice(frame);
    }

    /// As a capture file, so that other programs can look at it. Frames of another link type than the first are left
    /// out.
    pub fn pcap(&self) -> Vec<u8> {
        let link_type = self.rows.get(20..22).unwrap_or(&[0, 0]);
        let mut file = [0xA1B2_3C4D_u32, 4 << 16 | 2, 0, 0, 262_144].map(u32::to_le_bytes).concat();
        file.extend_from_slice(&[link_type[0], link_type[1], 0, 0]);
        for row in self.rows.chunks_exact(FRAME_ROW_BYTES).filter(|row| &row[20..22] == link_type) {
            let time_ns = row.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let u32_at = |at: usize| row[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let (start, captured) = (u32_at(8) as usize, u32_at(12) as usize);
            file.extend_from_slice(&((time_ns / 1_000_000_000) as u32).to_le_bytes());
            file.extend_from_slice(&((time_ns % 1_000_000_000) as u32).to_le_bytes());
            file.extend_from_slice(&row[12..20]);
            file.extend_from_slice(&self.data[start..start + captured]);
        }
        file
    }

    /// A TCP segment.
    pub fn segment(&mut self, how: Envelope, flags: u8, seq: u32, ack: u32, payload: &[u8]) {
        let mut segment = ports(how, 443).to_vec();
        segment.extend_from_slice(&seq.to_be_bytes());
        segment.extend_from_slice(&ack.to_be_bytes());
        segment.extend_from_slice(&[0x50, flags, 0xFF, 0xFF, 0, 0, 0, 1]); // the first byte is the urgent one, if any
        segment.extend_from_slice(payload);
        self.packet(TCP, how, segment, 16, payload.len());
    }

    /// A UDP datagram.
    pub fn datagram(&mut self, how: Envelope, payload: &[u8]) {
        let mut datagram = ports(how, 4433).to_vec();
        datagram.extend_from_slice(&u16::try_from(8 + payload.len()).unwrap_or(0).to_be_bytes());
        datagram.extend_from_slice(&[0, 0]);
        datagram.extend_from_slice(payload);
        self.packet(UDP, how, datagram, 6, payload.len());
    }

    /// An IP packet around a body with its checksum at `checksum_at`.
    fn packet(&mut self, protocol: u8, how: Envelope, mut body: Vec<u8>, checksum_at: usize, payload_bytes: usize) {
        let length = u16::try_from(20 + body.len()).unwrap_or(0).to_be_bytes(); // 0: longer than the field can say
        let (source, target) = if how.from == Host::Client { (9, 1) } else { (1, 9) };
        let addresses = [10, 0, 0, source, 10, 0, 0, target];
        let pseudo_header = sum(&addresses) + u32::from(protocol) + body.len() as u32;
        let right = checksum(sum(&body) + pseudo_header) ^ u16::from(how.is_wrong);
        body[checksum_at..checksum_at + 2].copy_from_slice(&right.to_be_bytes());
        let ttl = if how.is_low { 3 } else { 64 };
        let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, ttl, protocol, 0, 0];
        packet.extend_from_slice(&addresses);
        let right = checksum(sum(&packet));
        packet[10..12].copy_from_slice(&right.to_be_bytes());
        packet.extend_from_slice(&body);
        let cut = if how.is_cut { payload_bytes / 2 } else { 0 };
        self.frame(RAW_IP, &packet[..packet.len() - cut], cut);
    }
}

/// Who sends a packet, and what befell it.
#[derive(Clone, Copy)]
pub struct Envelope {
    pub from: Host,
    /// Half of its payload was not captured.
    pub is_cut: bool,
    /// Its TTL is lower than that of others.
    pub is_low: bool,
    /// Its checksum is wrong.
    pub is_wrong: bool,
    /// One of sixteen.
    pub flow: u8,
}

impl Envelope {
    /// A bit each, then four for the flow.
    pub fn of(byte: u8) -> Self {
        Self {
            from: if byte & 1 == 0 { Host::Client } else { Host::Server },
            is_cut: byte & 2 != 0,
            is_low: byte & 4 != 0,
            is_wrong: byte & 8 != 0,
            flow: byte >> 4,
        }
    }
}

fn sum(data: &[u8]) -> u32 {
    data.chunks(2).map(|word| u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from)).sum()
}

/// RFC 1071.
fn checksum(mut sum: u32) -> u16 {
    while sum > 0xFFFF {
        sum = (sum >> 16) + (sum & 0xFFFF);
    }
    !(sum as u16)
}

/// Source and target port.
fn ports(how: Envelope, server: u16) -> [u8; 4] {
    let (client, server) = ((40_000 + u16::from(how.flow)).to_be_bytes(), server.to_be_bytes());
    let (source, target) = if how.from == Host::Client { (client, server) } else { (server, client) };
    [source[0], source[1], target[0], target[1]]
}

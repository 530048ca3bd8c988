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

impl Host {
    /// By the lowest bit.
    pub fn of(byte: u8) -> Self {
        if byte & 1 == 0 {
            Self::Client
        } else {
            Self::Server
        }
    }

    pub fn other(self) -> Self {
        if self == Self::Client {
            Self::Server
        } else {
            Self::Client
        }
    }
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

    /// A TCP segment; of its payload the last `cut` bytes were not captured. Of `flow` many may be under way.
    #[allow(clippy::too_many_arguments)]
    pub fn segment(&mut self, flow: u8, from: Host, flags: u8, seq: u32, ack: u32, payload: &[u8], cut: usize) {
        let mut segment = ports(flow, 443, from).to_vec();
        segment.extend_from_slice(&seq.to_be_bytes());
        segment.extend_from_slice(&ack.to_be_bytes());
        segment.extend_from_slice(&[0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
        segment.extend_from_slice(payload);
        self.packet(TCP, from, &segment, cut.min(payload.len()));
    }

    /// The same of UDP.
    pub fn datagram(&mut self, flow: u8, from: Host, payload: &[u8], cut: usize) {
        let mut datagram = ports(flow, 4433, from).to_vec();
        datagram.extend_from_slice(&u16::try_from(8 + payload.len()).unwrap_or(0).to_be_bytes());
        datagram.extend_from_slice(&[0, 0]);
        datagram.extend_from_slice(payload);
        self.packet(UDP, from, &datagram, cut.min(payload.len()));
    }

    fn packet(&mut self, protocol: u8, from: Host, payload: &[u8], cut: usize) {
        let length = u16::try_from(20 + payload.len()).unwrap_or(0).to_be_bytes(); // 0: longer than the field can say
        let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
        let (source, target) = if from == Host::Client { (9, 1) } else { (1, 9) };
        packet.extend_from_slice(&[10, 0, 0, source, 10, 0, 0, target]);
        packet.extend_from_slice(payload);
        self.frame(RAW_IP, &packet[..packet.len() - cut], cut);
    }
}

/// Source and target port.
fn ports(flow: u8, server: u16, from: Host) -> [u8; 4] {
    let (client, server) = ((40_000 + u16::from(flow)).to_be_bytes(), server.to_be_bytes());
    let (source, target) = if from == Host::Client { (client, server) } else { (server, client) };
    [source[0], source[1], target[0], target[1]]
}

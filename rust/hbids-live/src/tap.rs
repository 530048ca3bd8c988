//! One interface, heard through one socket and its ring.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use hbids_core::Frame;
use libc::c_int;

use crate::fanout::{by_addresses, nothing, Share};
use crate::memory::Memory;
use crate::ring::{walk, Place};
use crate::socket::{Instruction, PacketSocket};

/// In front of each frame, for the VLAN tag that the kernel takes out of it.
const RESERVED_BYTES: u32 = 4;
/// Only the arithmetic of the older ring formats needs it; TPACKET_V3 packs frames of any size.
const FRAME_BYTES: u32 = 2_048;
/// `SOF_TIMESTAMPING_RAW_HARDWARE`
const HARDWARE_TIME: c_int = libc::SOF_TIMESTAMPING_RAW_HARDWARE as c_int;

/// How to listen to an interface.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Options {
    pub interface_index: i32,
    /// `LINKTYPE_` number of the pcap registry.
    pub link_type: u16,
    /// A multiple of the page size.
    pub block_bytes: u32,
    pub blocks: u32,
    /// After so long a block is handed over, full or not.
    pub block_timeout_ms: u32,
    /// Which frames, and how many bytes of them.
    pub filter: Vec<Instruction>,
    pub promiscuous: bool,
    /// Leave out what this machine sends: on a loopback interface it arrives again.
    pub only_incoming: bool,
    pub hardware_time: bool,
    /// Longer frames than the interface can carry were joined from several.
    pub longest_frame_bytes: u32,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What happened on an interface so far.
        #[derive(Clone, Copy, Debug, Default)]
        #[allow(missing_docs)]
        pub struct Counters { $($(#[$doc])* pub $name: u64),* }

        impl Counters {
            /// Names and values, for the world outside.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters!(
    /// Frames that passed the filter, dropped ones included.
    kernel_packets,
    /// For want of a free block.
    kernel_drops,
    /// How often there was none.
    ring_freezes,
    frames,
    bytes,
    /// Captured shorter than they were.
    frames_cut,
    /// Longer than the interface carries.
    frames_joined,
    /// Earlier than one before them.
    frames_late,
    /// Stamped by the kernel though the hardware was asked to.
    frames_stamped_by_kernel,
    /// How often the interface went down.
    interface_downs,
);

/// See the module's documentation.
pub(crate) struct Tap {
    socket: PacketSocket,
    memory: Memory,
    link_type: u16,
    longest_frame_bytes: u32,
    hardware_time: bool,
    /// The next block the kernel will hand over, counted from the beginning.
    next_block: u64,
    /// Frames not yet done with, of each block taken and not given back.
    held: VecDeque<u32>,
    counters: Counters,
}

impl Tap {
    /// Listen, alone or with a share of the frames; the group to join for the next.
    pub(crate) fn open(options: &Options, share: Option<Share>) -> io::Result<(Self, Option<u16>)> {
        let socket = PacketSocket::open()?;
        socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        socket.set(libc::SOL_PACKET, libc::PACKET_RESERVE, &RESERVED_BYTES)?;
        if options.hardware_time {
            socket.set(libc::SOL_PACKET, libc::PACKET_TIMESTAMP, &HARDWARE_TIME)?;
        }
        if options.only_incoming {
            socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)?;
        }
        let ring = libc::tpacket_req3 {
            tp_block_size: options.block_bytes,
            tp_block_nr: options.blocks,
            tp_frame_size: FRAME_BYTES,
            tp_frame_nr: options.block_bytes / FRAME_BYTES * options.blocks,
            tp_retire_blk_tov: options.block_timeout_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &ring)?;
        let memory = Memory::map(socket.as_fd(), options.block_bytes as usize, options.blocks as usize)?;
        if options.promiscuous {
            let membership = libc::packet_mreq {
                mr_ifindex: options.interface_index,
                mr_type: libc::PACKET_MR_PROMISC as u16,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            socket.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
        }
        // Between these steps a frame could come twice, to a socket alone and to its group: nothing passes until the last.
        socket.set_program(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &nothing())?;
        socket.bind(options.interface_index)?;
        let group = share.map(|share| join(&socket, options, share)).transpose()?;
        let tap = Self {
            socket,
            memory,
            link_type: options.link_type,
            longest_frame_bytes: options.longest_frame_bytes,
            hardware_time: options.hardware_time,
            next_block: 0,
            held: VecDeque::new(),
            counters: Counters::default(),
        };
        Ok((tap, group))
    }

    /// Let frames pass, from now on.
    pub(crate) fn start(&self, filter: &[Instruction]) -> io::Result<()> {
        self.socket.set_program(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, filter)
    }

    /// Let none pass any more; what has passed is still there.
    pub(crate) fn stop(&self) -> io::Result<()> {
        self.socket.set_program(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &nothing())
    }

    /// Look through the blocks the kernel has handed over, a few at most; (number of the block, place) of each frame.
    pub(crate) fn take(&mut self, most_blocks: usize, mut each: impl FnMut(u64, Place)) {
        for _ in 0..most_blocks {
            let number = self.next_block;
            let block = (number % self.memory.blocks() as u64) as usize;
            if self.held.len() >= self.memory.blocks() || !self.memory.is_ours(block) {
                return;
            }
            let (mut frames, counters) = (0, &mut self.counters);
            walk(self.memory.block_mut(block), |place| {
                frames += 1;
                counters.frames += 1;
                counters.bytes += u64::from(place.wire_bytes);
                counters.frames_cut += u64::from(place.captured_bytes < place.wire_bytes);
                counters.frames_joined += u64::from(place.wire_bytes > self.longest_frame_bytes);
                let by_hardware = place.status & libc::TP_STATUS_TS_RAW_HARDWARE != 0;
                counters.frames_stamped_by_kernel += u64::from(self.hardware_time && !by_hardware);
                each(number, place);
            });
            self.next_block += 1;
            self.held.push_back(frames);
        }
        self.give_back_done();
    }

    /// A frame of a block that was taken and not given back.
    pub(crate) fn frame(&self, number: u64, place: &Place) -> Frame<'_> {
        let block = self.memory.block((number % self.memory.blocks() as u64) as usize);
        let at = place.at as usize;
        let data = block.get(at..at + place.captured_bytes as usize).unwrap_or_default();
        Frame { time_ns: place.time_ns, wire_bytes: place.wire_bytes, link_type: self.link_type, data }
    }

    /// A frame of that block was decoded.
    pub(crate) fn done(&mut self, number: u64) {
        let first = self.next_block - self.held.len() as u64;
        if let Some(left) = number.checked_sub(first).and_then(|at| self.held.get_mut(at as usize)) {
            *left = left.saturating_sub(1);
        }
    }

    /// Give the kernel the blocks of which nothing is needed any more.
    pub(crate) fn give_back_done(&mut self) {
        while self.held.front() == Some(&0) {
            let number = self.next_block - self.held.len() as u64;
            self.memory.give_back((number % self.memory.blocks() as u64) as usize);
            self.held.pop_front();
        }
    }

    /// Give back every block.
    pub(crate) fn give_up(&mut self) {
        self.held.iter_mut().for_each(|left| *left = 0);
        self.give_back_done();
    }

    /// Whether so much is held that the kernel may soon find no block.
    pub(crate) fn is_short_of_blocks(&self) -> bool {
        self.held.len() * 2 >= self.memory.blocks()
    }

    pub(crate) fn count_late(&mut self) {
        self.counters.frames_late += 1;
    }

    /// Totals so far, with what the kernel counted meanwhile.
    pub(crate) fn counters(&mut self) -> io::Result<Counters> {
        let mut counted = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        self.socket.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut counted)?; // and sets them to zero
        self.counters.kernel_packets += u64::from(counted.tp_packets);
        self.counters.kernel_drops += u64::from(counted.tp_drops);
        self.counters.ring_freezes += u64::from(counted.tp_freeze_q_cnt);
        Ok(self.counters)
    }

    /// Hear why the socket woke us without a block: the interface went down. Capture goes on when it is up again.
    pub(crate) fn take_error(&mut self) -> io::Result<()> {
        let mut error: c_int = 0;
        self.socket.get(libc::SOL_SOCKET, libc::SO_ERROR, &mut error)?;
        match error {
            0 => Ok(()),
            libc::ENETDOWN => {
                self.counters.interface_downs += 1;
                Ok(())
            }
            other => Err(io::Error::from_raw_os_error(other)),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Join the sockets that share the interface's frames, or found their group.
fn join(socket: &PacketSocket, options: &Options, share: Share) -> io::Result<u16> {
    let mut flags = libc::PACKET_FANOUT_CBPF;
    if options.only_incoming {
        flags |= libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
    }
    if share.group.is_none() {
        flags |= libc::PACKET_FANOUT_FLAG_UNIQUEID;
    }
    socket.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &(u32::from(share.group.unwrap_or(0)) | flags << 16))?;
    if let Some(group) = share.group {
        return Ok(group);
    }
    socket.set_program(libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, &by_addresses(share.multiplier))?;
    let mut told: u32 = 0;
    socket.get(libc::SOL_PACKET, libc::PACKET_FANOUT, &mut told)?;
    Ok((told & 0xFFFF) as u16)
}

//! Memory shared with the kernel: a ring of blocks, each owned by one side at a time.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_void, tpacket_block_desc, tpacket_hdr_v1};

const STATUS_AT: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, block_status);

/// The mapped ring of one socket.
pub(crate) struct Memory {
    start: NonNull<u8>,
    block_bytes: usize,
    blocks: usize,
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread.
unsafe impl Send for Memory {}
// SAFETY: through a shared reference blocks are only read, and only ours.
unsafe impl Sync for Memory {}

impl Memory {
    /// Map the ring that was set up on the socket with blocks of these numbers.
    pub(crate) fn map(socket: BorrowedFd<'_>, block_bytes: usize, blocks: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses a free place; nothing that exists is touched.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), block_bytes * blocks, protection, libc::MAP_SHARED, socket.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, block_bytes, blocks })
    }

    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Whether the kernel has filled the block and handed it over.
    pub(crate) fn is_ours(&self, block: usize) -> bool {
        self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Give a block back to the kernel.
    pub(crate) fn give_back(&mut self, block: usize) {
        self.status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    /// The bytes of a block; none while it is the kernel's.
    pub(crate) fn block(&self, block: usize) -> &[u8] {
        if !self.is_ours(block) {
            return &[];
        }
        // SAFETY: the block lies within the mapping (`place`), and the kernel leaves it alone until `give_back`, which
        // needs the value exclusively and so ends this borrow.
        unsafe { std::slice::from_raw_parts(self.place(block).as_ptr(), self.block_bytes) }
    }

    /// The same, to write into.
    pub(crate) fn block_mut(&mut self, block: usize) -> &mut [u8] {
        if !self.is_ours(block) {
            return &mut [];
        }
        // SAFETY: as in `block`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.place(block).as_ptr(), self.block_bytes) }
    }

    fn status(&self, block: usize) -> &AtomicU32 {
        // SAFETY: within the mapping and aligned (blocks are whole pages, the field stands on a multiple of four); all
        // access from this side goes through the atomic or happens while the kernel does not write it.
        unsafe { &*self.place(block).as_ptr().add(STATUS_AT).cast::<AtomicU32>() }
    }

    /// Where a block begins. A number beyond the last goes round the ring.
    fn place(&self, block: usize) -> NonNull<u8> {
        // SAFETY: the offset stays within the mapping.
        unsafe { self.start.add(block % self.blocks * self.block_bytes) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; no borrow of it outlives the value.
        unsafe { libc::munmap(self.start.as_ptr().cast::<c_void>(), self.block_bytes * self.blocks) };
    }
}

//! A packet socket (packet(7)): the system calls, each in a safe function.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, c_void, socklen_t};

/// One instruction of classic BPF: code, jump if true, jump if false, constant.
pub type Instruction = (u16, u8, u8, u32);

/// An `AF_PACKET` socket that receives whole frames. It hears nothing until it is bound.
pub(crate) struct PacketSocket(OwnedFd);

impl PacketSocket {
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers; the descriptor is owned from here on.
        let fd = checked(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: a fresh descriptor of nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Set an option. `T` is what the kernel reads for it.
    pub(crate) fn set<T: Copy>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let (pointer, length) = (std::ptr::from_ref(value).cast::<c_void>(), size_of::<T>() as socklen_t);
        // SAFETY: pointer and length describe `value`.
        checked(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, option, pointer, length) })?;
        Ok(())
    }

    /// Read an option into `value`, which the kernel fills as far as it has something.
    pub(crate) fn get<T: Copy>(&self, level: c_int, option: c_int, value: &mut T) -> io::Result<()> {
        let mut length = size_of::<T>() as socklen_t;
        let pointer = std::ptr::from_mut(value).cast::<c_void>();
        // SAFETY: pointer and length describe `value`; all its types here are integers, for which any bytes do.
        checked(unsafe { libc::getsockopt(self.0.as_raw_fd(), level, option, pointer, &mut length) })?;
        Ok(())
    }

    /// Give the kernel a program: a filter, or the rule of a fanout group.
    pub(crate) fn set_program(&self, level: c_int, option: c_int, program: &[Instruction]) -> io::Result<()> {
        let mut filters: Vec<libc::sock_filter> =
            program.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
        let len = u16::try_from(filters.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.set(level, option, &libc::sock_fprog { len, filter: filters.as_mut_ptr() })
    }

    /// Hear all frames of an interface.
    pub(crate) fn bind(&self, interface_index: i32) -> io::Result<()> {
        // SAFETY: all zeros are a valid value of this plain structure.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface_index;
        let length = size_of::<libc::sockaddr_ll>() as socklen_t;
        // SAFETY: pointer and length describe `address`.
        checked(unsafe { libc::bind(self.0.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) })?;
        Ok(())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Wait until one of the sockets has a block, or an error to tell.
pub(crate) fn wait<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>, longest: Duration) -> io::Result<()> {
    let mut list: Vec<libc::pollfd> =
        sockets.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    let milliseconds = c_int::try_from(longest.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: pointer and length describe `list`.
    match checked(unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, milliseconds) }) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other.map(|_| ()),
    }
}

fn checked(status: c_int) -> io::Result<c_int> {
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(status)
    }
}

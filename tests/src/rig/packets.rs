//! Packet sockets (packet(7)): whole frames to and from an interface.
//!
//! The kernel takes the outer VLAN tag out of a frame before a packet socket sees it, and hands it over
//! beside the frame; here it is put back where it was.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use socket2::{Domain, MaybeUninitSlice, MsgHdrMut, Protocol, SockAddr, Socket, Type};

/// All protocols (linux/if_ether.h), as the kernel wants it: in network order.
const ALL: u16 = (libc::ETH_P_ALL as u16).to_be();
/// Octets of the two MAC addresses, behind which VLAN tags stand.
const MACS: usize = 12;

/// A socket for the frames of one interface.
#[derive(Debug)]
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// For `interface` of the calling thread's network namespace.
    ///
    /// # Errors
    /// No such interface, no rights.
    pub fn open(interface: &str) -> Result<Self> {
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW,
            Some(Protocol::from(i32::from(ALL))),
        )?;
        let own = Self(socket);
        own.set(libc::PACKET_AUXDATA)?;
        own.set(libc::PACKET_IGNORE_OUTGOING)?;
        let address = address_of(interface)?;
        own.0.bind(&address).context(interface.to_owned())?;
        own.0.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(own)
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = self.0.send(frame)?;
        ensure!(sent == frame.len(), "{sent} of {} octets sent", frame.len());
        Ok(())
    }

    /// The next frame that `is_meant`, as it was on the wire; others are thrown away.
    ///
    /// # Errors
    /// None comes within `patience`.
    pub fn receive(&self, patience: Duration, is_meant: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let start = Instant::now();
        loop {
            if let Some(frame) = self.next()?.filter(|frame| is_meant(frame)) {
                return Ok(frame);
            }
            ensure!(start.elapsed() < patience, "no frame within {patience:?}");
        }
    }

    /// The next frame, if one comes soon.
    fn next(&self) -> Result<Option<Vec<u8>>> {
        let mut frame = [MaybeUninit::<u8>::uninit(); 4096];
        let mut control = [MaybeUninit::<u8>::zeroed(); 128];
        let mut buffers = [MaybeUninitSlice::new(&mut frame)];
        let mut message = MsgHdrMut::new()
            .with_buffers(&mut buffers)
            .with_control(&mut control);
        let len = match self.0.recvmsg(&mut message, 0) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let control_len = message.control_len();
        // SAFETY: `recvmsg` says that it wrote so many octets.
        let octet = |octet: &MaybeUninit<u8>| unsafe { octet.assume_init() };
        let mut frame: Vec<u8> = frame[..len].iter().map(octet).collect();
        let control: Vec<u8> = control[..control_len].iter().map(octet).collect();
        if let Some(tag) = tag_beside(&control)
            && frame.len() >= MACS
        {
            frame.splice(MACS..MACS, tag);
        }
        Ok(Some(frame))
    }

    /// Turns an option of packet sockets on.
    fn set(&self, option: i32) -> Result<()> {
        let on: i32 = 1;
        // SAFETY: the option's value is an integer that is there during the call.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const on).cast(),
                size_of::<i32>() as libc::socklen_t,
            )
        };
        ensure!(result == 0, io::Error::last_os_error());
        Ok(())
    }
}

/// The VLAN tag that a control message brings (`struct tpacket_auxdata`, packet(7)).
fn tag_beside(control: &[u8]) -> Option<[u8; 4]> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    let data = control.get(HEADER..)?;
    let word = |at: usize| Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    let half = |at: usize| Some(u16::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    let status = word(0)?;
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let [a, b] = half(18)?.to_be_bytes();
    let [c, d] = half(16)?.to_be_bytes();
    Some([a, b, c, d])
}

/// `struct sockaddr_ll` of an interface.
fn address_of(interface: &str) -> Result<SockAddr> {
    let index = index_of(interface)?;
    let set = |storage: *mut socket2::SockAddrStorage, len: *mut libc::socklen_t| {
        // SAFETY: the storage is zeroed and large enough for any address; all zero is a value of it.
        let address = unsafe { &mut *storage.cast::<libc::sockaddr_ll>() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ALL;
        address.sll_ifindex = index;
        // SAFETY: `try_init` gives a place for the length.
        unsafe { *len = size_of::<libc::sockaddr_ll>() as libc::socklen_t };
        Ok(())
    };
    // SAFETY: `set` writes a whole address and its length.
    let ((), address) = unsafe { SockAddr::try_init(set) }?;
    Ok(address)
}

/// The interface's number in the calling thread's network namespace.
fn index_of(interface: &str) -> Result<i32> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let index = rustix::net::netdevice::name_to_index(&socket, interface);
    let index = index.with_context(|| format!("no interface {interface}"))?;
    Ok(i32::try_from(index)?)
}

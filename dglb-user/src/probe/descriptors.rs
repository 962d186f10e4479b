//! Hands the raw sockets for ICMP from the daemon, which may open them, to the probing process, which may
//! not: SCM_RIGHTS in front of the first message (unix(7)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::{Domain, Protocol, Socket, Type};

/// The raw sockets, IPv4 and IPv6; `None` where the kernel refuses, with the reason in the log.
pub fn open() -> [Option<OwnedFd>; 2] {
    [
        opened("IPv4", Domain::IPV4, Protocol::ICMPV4),
        opened("IPv6", Domain::IPV6, Protocol::ICMPV6),
    ]
}

fn opened(family: &str, domain: Domain, protocol: Protocol) -> Option<OwnedFd> {
    match Socket::new(domain, Type::RAW, Some(protocol)) {
        Ok(socket) => Some(socket.into()),
        Err(error) => {
            tracing::warn!(%error, "no ICMP echo over {family}: that needs root or CAP_NET_RAW");
            None
        }
    }
}

/// Which of the two are sent.
const HAS_V4: u8 = 1;
const HAS_V6: u8 = 2;

/// Sends the sockets, as the first thing that goes through `socket`.
///
/// # Errors
/// What the kernel said.
pub fn send(socket: impl AsFd, sockets: &[Option<OwnedFd>; 2]) -> io::Result<()> {
    let [v4, v6] = sockets;
    let mut first = 0;
    first |= if v4.is_some() { HAS_V4 } else { 0 };
    first |= if v6.is_some() { HAS_V6 } else { 0 };
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().flatten().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for two descriptors"));
    }
    sendmsg(
        socket,
        &[IoSlice::new(&[first])],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives them.
///
/// # Errors
/// The other end is no daemon.
pub fn receive(socket: impl AsFd) -> io::Result<[Option<OwnedFd>; 2]> {
    let mut first = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut first)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes != 1 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut descriptors = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    let mut next = |has: u8| match first[0] & has {
        0 => None,
        _ => descriptors.next(),
    };
    Ok([next(HAS_V4), next(HAS_V6)])
}

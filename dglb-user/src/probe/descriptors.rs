//! Hands the raw sockets for ICMP from the daemon, which may open them, to the probing process, which may
//! not: SCM_RIGHTS in front of the first message (unix(7)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use nix::libc;
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
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).and_then(|socket| {
        let_only_replies_in(&socket, domain)?;
        Ok(socket)
    });
    match socket {
        Ok(socket) => Some(socket.into()),
        Err(error) => {
            tracing::warn!(%error, "no ICMP echo over {family}: that needs root or CAP_NET_RAW");
            None
        }
    }
}

/// ICMP_FILTER (include/uapi/linux/icmp.h), at level IPPROTO_RAW.
const ICMP_FILTER: libc::c_int = 1;
/// ICMPV6_FILTER (include/uapi/linux/icmpv6.h), at level IPPROTO_ICMPV6.
const ICMPV6_FILTER: libc::c_int = 1;
/// Types of ICMP messages (RFC 792, RFC 4443 §4.2).
const ECHO_REPLY_V4: u32 = 0;
const ECHO_REPLY_V6: u32 = 129;

/// A raw socket gets all ICMP that the host gets (raw(7)): echo replies only, please. Both filters have a
/// bit set for each type that is kept away.
fn let_only_replies_in(socket: &Socket, domain: Domain) -> io::Result<()> {
    if domain == Domain::IPV4 {
        let filter = !(1_u32 << ECHO_REPLY_V4);
        return set_option(socket, libc::IPPROTO_RAW, ICMP_FILTER, &[filter]);
    }
    let mut filter = [u32::MAX; 8];
    filter[(ECHO_REPLY_V6 / 32) as usize] &= !(1 << (ECHO_REPLY_V6 % 32));
    set_option(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter)
}

fn set_option(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    words: &[u32],
) -> io::Result<()> {
    let length = size_of_val(words) as libc::socklen_t;
    // SAFETY: the kernel reads `length` octets from `words`, which has so many, and the descriptor is open.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            words.as_ptr().cast(),
            length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes all descriptors but the three standard ones: those of the daemon close by themselves, but not
/// what the daemon itself was started with. For the first thing that the probing process does.
pub fn close_others() {
    const FIRST_OTHER: libc::c_uint = 3;
    // SAFETY: nothing in this process has opened a descriptor yet that anything would use after this.
    let result = unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, 0) };
    if result != 0 {
        let error = io::Error::last_os_error();
        tracing::warn!(%error, "descriptors of others can't be closed");
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn sockets_arrive_as_they_were_sent() {
        let socket = || UnixStream::pair().map(|(one, _)| OwnedFd::from(one)).ok();
        for sent in [
            [None, None],
            [socket(), None],
            [None, socket()],
            [socket(), socket()],
        ] {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            send(&ours, &sent).expect("sent");
            let received = receive(&theirs).expect("received");
            assert_eq!(
                received.map(|socket| socket.is_some()),
                sent.map(|socket| socket.is_some())
            );
        }
    }

    #[test]
    fn an_end_that_says_nothing_is_no_daemon() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(ours);
        assert!(receive(&theirs).is_err());
    }
}

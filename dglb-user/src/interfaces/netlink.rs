//! Questions to the kernel over rtnetlink (rtnetlink(7)).

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Octets before a message's own: `struct nlmsghdr` of linux/netlink.h.
const HEADER: usize = 16;
/// Octets of the error number before what it is about: `struct nlmsgerr`.
const ERROR_NUMBER: usize = 4;
/// `NLMSGERR_ATTR_MSG`: the kernel's words.
const ERROR_TEXT: u16 = 1;

/// Of linux/netlink.h.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// Attach only where nothing is attached; in the driver (linux/if_link.h).
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// How often a list is asked for that was disturbed by changes.
const ATTEMPTS: usize = 10;

/// All links of this network namespace.
pub(super) fn links() -> io::Result<Vec<LinkMessage>> {
    for _ in 0..ATTEMPTS {
        if let Some(links) = dump()? {
            return Ok(links);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::Interrupted,
        "the interfaces change all the time",
    ))
}

/// `None`: the links changed meanwhile, some may be missing (`NLM_F_DUMP_INTR`, kernel 3.1).
fn dump() -> io::Result<Option<Vec<LinkMessage>>> {
    let socket = open(NETLINK_ROUTE)?;
    let all = RouteNetlinkMessage::GetLink(LinkMessage::default());
    send(&socket, all, NLM_F_REQUEST | NLM_F_DUMP)?;
    let mut links = Vec::new();
    let mut is_disturbed = false;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        for message in messages(&datagram) {
            // A message of a form that is not known must not hide the others.
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else {
                continue;
            };
            is_disturbed |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    links.push(link);
                }
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::Done(_) => return Ok((!is_disturbed).then_some(links)),
                _ => {}
            }
        }
    }
}

/// What a driver says when it refuses `program` in native mode: `BPF_LINK_CREATE` gives only a number,
/// rtnetlink gives the driver's words. `None`: it has none, or takes the program now.
pub fn why_refused(index: u32, program: BorrowedFd<'_>) -> Option<String> {
    let attempt = |descriptor: i32, flags: u32| -> io::Result<Vec<u8>> {
        let socket = open(NETLINK_ROUTE)?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        let mut link = LinkMessage::default();
        link.header.index = index;
        let xdp = vec![LinkXdp::Fd(descriptor), LinkXdp::Flags(flags)];
        link.attributes.push(LinkAttribute::Xdp(xdp));
        let request = RouteNetlinkMessage::SetLink(link);
        send(&socket, request, NLM_F_REQUEST | NLM_F_ACK)?;
        Ok(socket.recv_from_full()?.0)
    };
    let mode = XDP_FLAGS_DRV_MODE;
    let acknowledgement = attempt(program.as_raw_fd(), mode | XDP_FLAGS_UPDATE_IF_NOEXIST).ok()?;
    let (number, text) = refusal(messages(&acknowledgement).next()?)?;
    if number == 0 {
        // Taken after all: as nothing was there before, nothing is to be there again.
        let _ = attempt(-1, mode);
        return None;
    }
    text
}

/// The error number of an acknowledgement, and the kernel's words for it.
fn refusal(message: &[u8]) -> Option<(i32, Option<String>)> {
    let number = message.get(HEADER..HEADER + ERROR_NUMBER)?;
    let number = i32::from_ne_bytes(number.try_into().ok()?);
    // The request's header stands between, its body was left out as asked.
    let attributes = message.get(HEADER + ERROR_NUMBER + HEADER..)?;
    let text = NlasIterator::new(attributes)
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == ERROR_TEXT)
        .map(|attribute| {
            let text = String::from_utf8_lossy(attribute.value());
            text.trim_end_matches('\0').to_owned()
        });
    Some((number, text))
}

/// A socket of this process.
pub(super) fn open(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

fn send(socket: &Socket, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = flags;
    message.finalize();
    let mut octets = vec![0; message.buffer_len()];
    message.serialize(&mut octets);
    socket.send(&octets, 0)?;
    Ok(())
}

/// The messages of a datagram, each with its header.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        if len < HEADER {
            return None;
        }
        let message = rest.get(..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An acknowledgement with header, number, the request's header and `attributes`.
    fn acknowledgement(number: i32, attributes: &[u8]) -> Vec<u8> {
        let len = (HEADER + ERROR_NUMBER + HEADER + attributes.len()) as u32;
        let mut message = len.to_ne_bytes().to_vec();
        message.extend([0; HEADER - 4]);
        message.extend(number.to_ne_bytes());
        message.extend([0; HEADER]);
        message.extend(attributes);
        message
    }

    #[test]
    fn the_kernels_words_are_found_behind_the_requests_header() {
        let mut attributes = vec![8, 0, 2, 0, 1, 2, 3, 4];
        attributes.extend([12, 0, 1, 0]);
        attributes.extend(b"too big\0");
        let said = refusal(&acknowledgement(-34, &attributes));
        assert_eq!(said, Some((-34, Some("too big".into()))));
        assert_eq!(refusal(&acknowledgement(0, &[])), Some((0, None)));
        assert_eq!(refusal(&acknowledgement(-95, &[])), Some((-95, None)));
    }

    #[test]
    fn damaged_messages_give_nothing_and_end() {
        assert_eq!(refusal(&[]), None);
        assert_eq!(refusal(&acknowledgement(-34, &[])[..30]), None);
        let wrong_attribute = acknowledgement(-34, &[200, 0, 1, 0, b'x']);
        assert_eq!(refusal(&wrong_attribute), Some((-34, None)));
        for damaged in [&[][..], &[1, 0], &[0; 32], &[15, 0, 0, 0], &[255; 40]] {
            assert_eq!(messages(damaged).count(), 0, "{damaged:?}");
        }
        let twice = [acknowledgement(0, &[1]), acknowledgement(0, &[])];
        let mut datagram = twice[0].clone();
        datagram.resize(twice[0].len().next_multiple_of(4), 0);
        datagram.extend(&twice[1]);
        assert_eq!(messages(&datagram).collect::<Vec<_>>(), twice);
    }
}

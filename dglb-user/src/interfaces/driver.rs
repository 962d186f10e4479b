//! Whether a driver has XDP of its own: what the kernel says in its family `netdev` of generic netlink
//! (Documentation/netlink/specs/netdev.yaml, kernel 6.3).

use std::io;

use netlink_packet_core::NlasIterator;
use netlink_sys::protocols::NETLINK_GENERIC;

use super::netlink::{messages, open};

/// Octets of `struct nlmsghdr` and of `struct genlmsghdr`.
const HEADERS: usize = 16 + 4;
const NLM_F_REQUEST: u16 = 1;
/// The family that knows the numbers of the others (linux/genetlink.h).
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// Of linux/netdev.h.
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// The driver runs programs and does what the four basic verdicts say.
const NETDEV_XDP_ACT_BASIC: u64 = 1;

/// Whether the driver of the interface `index` runs XDP programs itself, as it is set up now; `None`:
/// the kernel does not say (before 6.3), or there is no such interface.
pub fn has_native_xdp(index: u32) -> Option<bool> {
    let family = ask(
        GENL_ID_CTRL,
        CTRL_CMD_GETFAMILY,
        CTRL_ATTR_FAMILY_NAME,
        b"netdev\0",
    )
    .ok()?;
    let family = attribute(&family, CTRL_ATTR_FAMILY_ID)?;
    let family = u16::from_ne_bytes(family.try_into().ok()?);
    let number = index.to_ne_bytes();
    let device = ask(family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &number).ok()?;
    let features = attribute(&device, NETDEV_A_DEV_XDP_FEATURES)?;
    let features = u64::from_ne_bytes(features.try_into().ok()?);
    Some(features & NETDEV_XDP_ACT_BASIC != 0)
}

/// Sends a command with one attribute; gives the first message of the answer.
fn ask(family: u16, command: u8, kind: u16, value: &[u8]) -> io::Result<Vec<u8>> {
    let socket = open(NETLINK_GENERIC)?;
    socket.send(&request(family, command, kind, value), 0)?;
    let (datagram, _) = socket.recv_from_full()?;
    Ok(messages(&datagram).next().unwrap_or_default().to_vec())
}

fn request(family: u16, command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute_len = 4 + value.len();
    let len = HEADERS + attribute_len.next_multiple_of(4);
    let mut message = Vec::with_capacity(len);
    message.extend((len as u32).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port: one question a socket, so there is nothing to tell apart.
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend((attribute_len as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(len, 0);
    message
}

/// The value of an attribute; of an error message, which has none of them, nothing.
fn attribute(message: &[u8], kind: u16) -> Option<Vec<u8>> {
    const NLMSG_ERROR: u16 = 2;
    let message_type = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    if message_type == NLMSG_ERROR {
        return None;
    }
    NlasIterator::new(message.get(HEADERS..)?)
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == kind)
        .map(|attribute| attribute.value().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_message_with_one_attribute() {
        let request = request(16, 3, 2, b"netdev\0");
        assert_eq!(messages(&request).collect::<Vec<_>>(), [&request[..]]);
        assert_eq!(attribute(&request, 2), Some(b"netdev\0".to_vec()));
        assert_eq!(attribute(&request, 1), None);
    }

    #[test]
    fn an_error_has_no_attributes() {
        let mut error = request(2, 0, 3, &[1, 0, 0, 0, 0, 0, 0, 0]);
        error[4] = 2;
        assert_eq!(attribute(&error, 3), None);
        assert_eq!(attribute(&[], 3), None);
        assert_eq!(has_native_xdp(u32::MAX), None);
    }
}

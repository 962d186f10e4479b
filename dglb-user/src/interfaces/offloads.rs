//! Work that a driver does before XDP sees a frame, by the ioctl of `ethtool` (netdevice(7)).
//!
//! The one call gives both settings that matter, to everybody, on every kernel; the netlink form of it
//! (kernel 5.7) would need a name table of features to be read first.

use std::io;

use rustix::{
    ioctl,
    net::{AddressFamily, SocketType, socket},
};

/// `SIOCETHTOOL` of linux/sockios.h.
const SIOCETHTOOL: ioctl::Opcode = 0x8946;
/// `ETHTOOL_GFLAGS`, `ETH_FLAG_RXVLAN`, `ETH_FLAG_LRO` of linux/ethtool.h.
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const ETH_FLAG_LRO: u32 = 1 << 15;
/// Octets of an interface's name, with the zero at its end (`IFNAMSIZ`).
const NAME: usize = 16;

/// Which offloads of reception are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// The VLAN tag is taken from the frame: XDP never sees it.
    pub rx_vlan: bool,
    /// Several TCP segments are put together into one that no driver can give to XDP.
    pub lro: bool,
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ifreq`, at least as large as on any architecture.
#[repr(C)]
struct Request {
    name: [u8; NAME],
    data: *mut Value,
    rest: [u64; 2],
}

impl Offloads {
    /// Asks the driver of the interface `name`.
    ///
    /// # Errors
    /// There is no such interface, or it does not say.
    pub fn of(name: &str) -> io::Result<Self> {
        if name.len() >= NAME {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut value = Value {
            command: ETHTOOL_GFLAGS,
            data: 0,
        };
        let mut request = Request {
            name: [0; NAME],
            data: &raw mut value,
            rest: [0; 2],
        };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        // SAFETY: SIOCETHTOOL takes a `struct ifreq`, which `Request` begins with, and no more of it
        // is read or written than that has.
        let call = unsafe { ioctl::Updater::<SIOCETHTOOL, Request>::new(&mut request) };
        // SAFETY: ETHTOOL_GFLAGS reads and writes one `struct ethtool_value` at `data`; `value` is one
        // and lives until the call is over.
        unsafe { ioctl::ioctl(&any, call) }?;
        Ok(Self {
            rx_vlan: value.data & ETH_FLAG_RXVLAN != 0,
            lro: value.data & ETH_FLAG_LRO != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_takes_no_tags_and_what_is_not_there_says_so() {
        assert_eq!(Offloads::of("lo").expect("an answer"), Offloads::default());
        assert!(Offloads::of("no-such-name").is_err());
        assert!(Offloads::of("a-name-that-is-too-long").is_err());
    }
}

//! Opening the sockets, and what to do when that fails.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddrV4},
};

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;

/// Octets that wait to be read from a UDP socket, as far as `net.core.rmem_max` allows.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The sockets of a node, open.
#[derive(Debug)]
pub struct Sockets {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
}

/// The protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{protocol} port {port} of {address} cannot be listened on: {source}; {}", self.remedy())]
pub struct BindError {
    /// The address.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// What the kernel said.
    pub source: io::Error,
}

impl BindError {
    /// What a person can do about it.
    fn remedy(&self) -> String {
        let Self { address, port, .. } = self;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another program has it: `ss -lnp 'sport = :{port}'` shows which; stop that, or let \
                 it listen on other addresses than {address} (0.0.0.0 takes all)"
            ),
            io::ErrorKind::AddrNotAvailable => format!(
                "no interface has {address}: add it (`ip address add {address}/32 dev lo`), or \
                 correct `addresses` of `[node]`"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "ports below 1024 need rights: run as root or with CAP_NET_BIND_SERVICE (port {port})"
            ),
            _ => format!("correct `addresses` of `[node]` if {address} should not be listened on"),
        }
    }
}

impl Sockets {
    /// Opens UDP and TCP at `port` of each address; port 0 takes any free one, the same for both. To
    /// be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be opened; none is open then.
    pub fn bind(addresses: &[Ipv4Addr], port: u16) -> Result<Self, BindError> {
        let mut sockets = Self {
            udp: Vec::new(),
            tcp: Vec::new(),
        };
        for &address in addresses {
            let (udp, tcp) = pair(address, port)?;
            sockets.udp.push(udp);
            sockets.tcp.push(tcp);
        }
        Ok(sockets)
    }

    /// What is listened on, in the order of the addresses.
    pub fn local_addresses(&self) -> Vec<SocketAddrV4> {
        let addresses = self
            .udp
            .iter()
            .filter_map(|socket| socket.local_addr().ok());
        addresses
            .filter_map(|address| match address {
                std::net::SocketAddr::V4(address) => Some(address),
                std::net::SocketAddr::V6(_) => None,
            })
            .collect()
    }
}

/// Tries again while a port that the kernel chose for UDP is another's for TCP.
fn pair(address: Ipv4Addr, port: u16) -> Result<(UdpSocket, TcpListener), BindError> {
    const ATTEMPTS: u32 = 32;
    let mut attempt = 1;
    loop {
        let (udp, chosen) =
            udp(address, port).map_err(|source| failed(address, port, Protocol::Udp, source))?;
        match tcp(address, chosen) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(source) if port != 0 || attempt == ATTEMPTS => {
                return Err(failed(address, chosen, Protocol::Tcp, source));
            }
            Err(_) => attempt += 1,
        }
    }
}

fn failed(address: Ipv4Addr, port: u16, protocol: Protocol, source: io::Error) -> BindError {
    BindError {
        address,
        port,
        protocol,
        source,
    }
}

fn udp(address: Ipv4Addr, port: u16) -> io::Result<(UdpSocket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // A smaller buffer loses queries of a burst, no more: not a reason to fail.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    // DF set, and no belief in ICMP that asks for fragments (RFC 9715 §3.1): the same as the kernel
    // program's replies.
    set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?;
    socket.bind(&SocketAddrV4::new(address, port).into())?;
    let udp = UdpSocket::from_std(socket.into())?;
    let port = udp.local_addr()?.port();
    Ok((udp, port))
}

fn tcp(address: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier run that are still closing do not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddrV4::new(address, port).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

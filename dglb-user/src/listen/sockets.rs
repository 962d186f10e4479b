//! Opening the sockets, and what to do when that fails.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd as _,
};

use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
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
    pub address: IpAddr,
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
        let (all, length) = match address {
            IpAddr::V4(_) => ("0.0.0.0", 32),
            IpAddr::V6(_) => ("[::]", 128),
        };
        match self.source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another program has it: `ss -lnp 'sport = :{port}'` shows which; stop that, or let \
                 it listen on other addresses than {address} ({all} takes all)"
            ),
            io::ErrorKind::AddrNotAvailable => format!(
                "no interface has {address}: add it (`ip address add {address}/{length} dev lo`), or \
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
    pub fn bind(addresses: &[IpAddr], port: u16) -> Result<Self, BindError> {
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

    /// The sockets at `port` of `addresses`: other descriptors of those that are open here already, so that
    /// both may be read for a while and nothing that waits in them is lost; the rest is opened.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be opened; none of the new ones is open then.
    pub fn for_addresses(&self, addresses: &[IpAddr], port: u16) -> Result<Self, BindError> {
        let mut sockets = Self {
            udp: Vec::new(),
            tcp: Vec::new(),
        };
        for &address in addresses {
            let wanted = SocketAddr::new(address, port);
            let open = self
                .local_addresses()
                .iter()
                .position(|open| *open == wanted);
            let (udp, tcp) = match open {
                Some(index) => self
                    .duplicate(index)
                    .map_err(|source| failed(address, port, Protocol::Udp, source))?,
                None => pair(address, port)?,
            };
            sockets.udp.push(udp);
            sockets.tcp.push(tcp);
        }
        Ok(sockets)
    }

    fn duplicate(&self, index: usize) -> io::Result<(UdpSocket, TcpListener)> {
        let udp = self.udp[index].as_fd().try_clone_to_owned()?;
        let tcp = self.tcp[index].as_fd().try_clone_to_owned()?;
        Ok((
            UdpSocket::from_std(udp.into())?,
            TcpListener::from_std(tcp.into())?,
        ))
    }

    /// What is listened on, in the order of the addresses.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.udp
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }
}

/// Tries again while a port that the kernel chose for UDP is another's for TCP.
fn pair(address: IpAddr, port: u16) -> Result<(UdpSocket, TcpListener), BindError> {
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

fn failed(address: IpAddr, port: u16, protocol: Protocol, source: io::Error) -> BindError {
    BindError {
        address,
        port,
        protocol,
        source,
    }
}

fn udp(address: IpAddr, port: u16) -> io::Result<(UdpSocket, u16)> {
    let socket = socket(address, Type::DGRAM)?;
    // A smaller buffer loses queries of a burst, no more: not a reason to fail.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    // No fragments, and no belief in ICMP that asks for them (RFC 9715 §3.1): the same as the kernel
    // program's replies.
    match address {
        IpAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
        IpAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
    }
    socket.bind(&SocketAddr::new(address, port).into())?;
    let udp = UdpSocket::from_std(socket.into())?;
    let port = udp.local_addr()?.port();
    Ok((udp, port))
}

fn tcp(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM)?;
    // Connections of an earlier run that are still closing do not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(address, port).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A socket of the address's family alone: one of IPv6 takes no IPv4 in disguise.
fn socket(address: IpAddr, socket_type: Type) -> io::Result<Socket> {
    let domain = match address {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, socket_type, None)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

//! A host of the lab: one network namespace, one interface, one directory for its files.

use std::{
    ffi::OsStr,
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{Namespace, Program};

/// The name of every host's interface.
pub const INTERFACE: &str = "eth0";
/// The router's address on every wire.
pub(super) const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// A host. Cloning it gives another handle of the same host.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    namespace: Namespace,
    directory: PathBuf,
    address: Ipv4Addr,
}

impl Host {
    pub(super) fn new(
        name: &str,
        namespace: Namespace,
        directory: PathBuf,
        address: Ipv4Addr,
    ) -> Self {
        Self {
            name: name.into(),
            namespace,
            directory,
            address,
        }
    }

    /// Its name within the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its first address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its network namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command that will run `program` on this host.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.namespace.command(program);
        command.current_dir(&self.directory);
        command
    }

    /// Starts `command` (made by [`Host::command`]) in the background; it writes to `NAME.log` in
    /// the host's directory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: &str, command: Command) -> Result<Program> {
        Program::start(
            &format!("{name} on {}", self.name),
            command,
            self.directory.join(format!("{name}.log")),
        )
    }

    /// Writes a file into the host's directory and says where it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &str, content: &str) -> Result<PathBuf> {
        let path = self.directory.join(file);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Takes the interface down, or up again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_interface(&self, up: bool) -> Result<()> {
        let mut commands = format!("link set {INTERFACE} {}\n", if up { "up" } else { "down" });
        if up {
            // The route went when the interface did.
            commands += &format!(
                "route replace default via {ROUTER_ADDRESS} dev {INTERFACE} onlink src {}\n",
                self.address
            );
        }
        self.namespace.ip(&commands)
    }

    /// A UDP socket of this host, connected to `server`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn udp(&self, server: SocketAddr) -> Result<UdpSocket> {
        self.udp_from(self.address, server)
    }

    /// As [`Host::udp`], from `address`, another of its own.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn udp_from(&self, address: Ipv4Addr, server: SocketAddr) -> Result<UdpSocket> {
        let socket = self.namespace.enter(move || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((address, 0))?;
            socket.connect(server)?;
            Ok(socket)
        })?;
        socket.with_context(|| format!("{} cannot reach {server}", self.name))
    }

    /// A TCP connection from this host.
    ///
    /// # Errors
    /// When it cannot be made within `timeout`.
    pub fn tcp(&self, server: SocketAddr, timeout: Duration) -> Result<TcpStream> {
        let stream = self
            .namespace
            .enter(move || TcpStream::connect_timeout(&server, timeout))?;
        stream.with_context(|| format!("{} cannot connect to {server}", self.name))
    }
}

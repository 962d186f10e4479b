//! Where a DNS-LB learns the addresses of the resolvers it is beside.
//!
//! A list in the configuration never changes. A resolv.conf(5) is looked at every second; what is wrong
//! with it is said once for each content, and the last good list is kept while it cannot be read.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::ResolverSource;

/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A new content counts once it stood for so long: a writer may be half way.
const SETTLE: Duration = Duration::from_millis(100);
/// A resolv.conf is no longer than this.
const MAX_LEN: u64 = 64 * 1024;

/// Follows a source until `stop`.
///
/// The receiver has the first list when this returns; it is empty when a file could not be read.
pub async fn follow(
    source: &ResolverSource,
    stop: CancellationToken,
) -> (watch::Receiver<Vec<IpAddr>>, JoinHandle<()>) {
    match source {
        ResolverSource::Listed(listed) => {
            let (sender, receiver) = watch::channel(listed.clone());
            let hold = tokio::spawn(async move {
                stop.cancelled().await;
                drop(sender);
            });
            (receiver, hold)
        }
        ResolverSource::ResolvConf(path) => {
            let (sender, receiver) = watch::channel(Vec::new());
            let mut file = Followed {
                path: path.clone(),
                sender,
                seen: None,
            };
            file.look().await;
            (
                receiver,
                tokio::spawn(async move { file.follow(stop).await }),
            )
        }
    }
}

/// A resolv.conf and what was last seen of it.
struct Followed {
    path: PathBuf,
    sender: watch::Sender<Vec<IpAddr>>,
    /// The content, or why there was none.
    seen: Option<Result<Vec<u8>, String>>,
}

impl Followed {
    async fn follow(mut self, stop: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if stop.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self) {
        let content = read(&self.path).await.map_err(|error| error.to_string());
        if self.seen.as_ref() == Some(&content) {
            return;
        }
        if self.seen.is_some() {
            sleep(SETTLE).await;
            if read(&self.path).await.map_err(|error| error.to_string()) != content {
                return;
            }
        }
        self.accept(&content);
        self.seen = Some(content);
    }

    fn accept(&self, content: &Result<Vec<u8>, String>) {
        let path = self.path.display();
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                let kept = self.sender.borrow().len();
                warn!("resolvers: {path} cannot be read: {error}; the last list of {kept} is kept");
                return;
            }
        };
        let parsed = ResolvConf::parse(content);
        for ignored in parsed.complaints() {
            warn!("resolvers: {path}: {ignored}");
        }
        if parsed.resolvers.is_empty() {
            warn!(
                "resolvers: {path} names no resolver to announce; list them in the configuration"
            );
        }
        self.sender.send_if_modified(|resolvers| {
            let changed = *resolvers != parsed.resolvers;
            if changed {
                info!("resolvers: {path} names {:?}", parsed.resolvers);
                *resolvers = parsed.resolvers;
            }
            changed
        });
    }
}

async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_LEN + 1).read_to_end(&mut content).await?;
    if content.len() as u64 > MAX_LEN {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 64 KiB",
        ));
    }
    Ok(content)
}

/// The `nameserver` lines of a resolv.conf(5).
#[derive(Debug, Default, PartialEq, Eq)]
struct ResolvConf {
    /// In order, each once.
    resolvers: Vec<IpAddr>,
    loopback: Vec<String>,
    link_local: Vec<String>,
    /// Line numbers.
    unreadable: Vec<usize>,
}

impl ResolvConf {
    fn parse(content: &[u8]) -> Self {
        let mut parsed = Self::default();
        let mut known = BTreeSet::new();
        for (index, line) in content.split(|octet| *octet == b'\n').enumerate() {
            let Some(value) = nameserver(line) else {
                continue;
            };
            let Some(address) = address(&value) else {
                parsed.unreadable.push(index + 1);
                continue;
            };
            if address.is_loopback() || address.is_unspecified() {
                parsed.loopback.push(address.to_string());
            } else if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
                parsed.link_local.push(value);
            } else if !crate::map_protocol::wire::is_unicast(address) {
                parsed.unreadable.push(index + 1);
            } else if known.insert(address) {
                parsed.resolvers.push(address);
            }
        }
        parsed
    }

    fn complaints(&self) -> impl Iterator<Item = String> {
        let loopback = (!self.loopback.is_empty()).then(|| {
            format!(
                "{} ignored: a loopback address is a forwarder on this host, no dns-b ever sees it; \
                 list the resolver behind it in the configuration, or name the forwarder's own file \
                 (systemd-resolved: /run/systemd/resolve/resolv.conf)",
                self.loopback.join(", ")
            )
        });
        let link_local = (!self.link_local.is_empty()).then(|| {
            format!(
                "{} ignored: from a link-local address no dns-b is ever asked; list the resolver's \
                 global address in the configuration",
                self.link_local.join(", ")
            )
        });
        let unreadable = self
            .unreadable
            .iter()
            .map(|line| format!("line {line} ignored: nameserver needs one unicast IP address"));
        loopback
            .into_iter()
            .chain(link_local)
            .chain(unreadable.take(3))
    }
}

/// The value of a `nameserver` line: the keyword must start the line, `#` and `;` end the value.
fn nameserver(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"nameserver")?;
    if rest
        .first()
        .is_some_and(|octet| !octet.is_ascii_whitespace())
    {
        return None;
    }
    let value = rest.trim_ascii_start();
    let ends = |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b'#' | b';');
    let len = value.iter().position(ends).unwrap_or(value.len());
    Some(String::from_utf8_lossy(&value[..len]).into_owned())
}

/// An address; of IPv6 with or without a zone (`fe80::1%eth0`).
fn address(value: &str) -> Option<IpAddr> {
    let v6 = || value.split('%').next()?.parse::<Ipv6Addr>().ok();
    value.parse().ok().or_else(|| v6().map(IpAddr::V6))
}

#[cfg(test)]
mod tests;

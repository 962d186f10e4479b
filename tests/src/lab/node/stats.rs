//! What `dglb stats --json` prints, read back.

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;

/// Statistics of one node.
#[derive(Clone, Debug, Deserialize)]
pub struct Stats {
    /// Node name.
    pub node: String,
    /// `dns-b` or `dns-lb`.
    pub role: String,
    /// `xdp` or `userspace`.
    pub datapath: String,
    /// Whether the daemon runs.
    pub daemon: bool,
    /// Where the XDP program is attached.
    pub interfaces: Vec<Interface>,
    /// Answers by row of the answer table.
    pub rows: Vec<Row>,
    /// Frames that XDP passed up.
    pub passed: Vec<Reason>,
    /// Frames that XDP dropped.
    pub dropped: Vec<Reason>,
    /// A DNS-LB's sites.
    #[serde(default)]
    pub sites: Vec<Site>,
    /// A DNS-B's DNS-LBs.
    #[serde(default)]
    pub dns_lbs: Vec<DnsLb>,
    /// A DNS-B's mapping table.
    #[serde(default)]
    pub resolvers: Vec<Mapping>,
}

/// An interface.
#[derive(Clone, Debug, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
}

/// A row of the answer table.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// Its id.
    pub row: String,
    /// Answers given in XDP.
    pub xdp: u64,
    /// Answers given in user space.
    pub user: u64,
}

/// A reason to pass or drop.
#[derive(Clone, Debug, Deserialize)]
pub struct Reason {
    /// Its name.
    pub reason: String,
    /// Frames.
    pub count: u64,
}

/// A site as one DNS-LB sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Site {
    /// The balanced name.
    pub service: String,
    /// The site's name.
    pub site: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Smoothed response time.
    pub time_ms: Option<f64>,
    /// 1 is the best.
    pub rank: Option<u32>,
    /// Why it is down.
    pub reason: Option<String>,
}

/// A DNS-LB as the DNS-B sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct DnsLb {
    /// Node name.
    pub name: String,
    /// Its label.
    pub label: String,
    /// Its address.
    pub address: IpAddr,
    /// `up` or `down`.
    pub state: String,
    /// The node that resolvers mapped to it are referred to now.
    pub serves: String,
}

/// An entry of the mapping table.
#[derive(Clone, Debug, Deserialize)]
pub struct Mapping {
    /// The resolver.
    pub resolver: Ipv4Addr,
    /// Address of its DNS-LB.
    pub dns_lb: Ipv4Addr,
}

impl Stats {
    /// Answers of a row.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.row == id)
    }

    /// The sites of a service (with or without the root's dot), best first; those without a rank
    /// last.
    pub fn sites_of(&self, service: &str) -> Vec<&Site> {
        let mut sites: Vec<_> = self
            .sites
            .iter()
            .filter(|site| site.service.trim_end_matches('.') == service.trim_end_matches('.'))
            .collect();
        sites.sort_by_key(|site| site.rank.unwrap_or(u32::MAX));
        sites
    }
}

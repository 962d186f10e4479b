//! What a probe does, ready to be done: what the daemon tells the probing process. Equal ones are one
//! target. Plain data, which the configuration is read into.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spec {
    /// Where to; no name is ever resolved.
    pub address: IpAddr,
    /// For all of it, milliseconds.
    pub timeout_ms: u32,
    /// What is done.
    pub kind: Kind,
}

/// Kinds of probes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// HTTP or HTTPS.
    Http(Http),
    /// A TCP connection, closed at once.
    Tcp {
        /// Port.
        port: u16,
    },
    /// An ICMP echo.
    Icmp,
    /// A command: an absolute path and its arguments, ready.
    Command(Vec<String>),
}

/// Requests over one connection, in their order, as one measurement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Http {
    /// TLS; `None`: plain.
    pub tls: Option<Tls>,
    /// TCP port.
    pub port: u16,
    /// Host header, lower case; SNI without its port.
    pub host: String,
    /// One whose request has no body.
    pub method: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Paths with their queries; at least one.
    pub pages: Vec<String>,
    /// Statuses that are a success, sorted.
    pub status: Vec<u16>,
    /// What the first page's body must contain.
    pub body: Option<Match>,
    /// Octets that a body may have.
    pub max_body: u32,
    /// Where the first page says how loaded the site is.
    pub load: Option<Load>,
}

impl Http {
    /// A GET of `path`, by plain HTTP.
    pub fn new(host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            tls: None,
            port: 80,
            host: host.into(),
            method: "GET".into(),
            headers: Vec::new(),
            pages: vec![path.into()],
            status: vec![200],
            body: None,
            max_body: 1 << 20,
            load: None,
        }
    }
}

/// How TLS is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tls {
    /// Whether the certificate must be valid for the host.
    pub verify: bool,
}

/// What a body must contain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// These octets.
    Text(String),
    /// A match of this regular expression.
    Regex(String),
}

/// Where a site says how loaded it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// A header of this name: `load=42; weight=10; drain`, each part as it likes.
    Header(String),
    /// The body, a JSON object with `load`, `weight`, `drain`, each as it likes.
    Json,
}

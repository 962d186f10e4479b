//! From a file to a [`Config`]: reads, parses, and calls the checks of each section.

use std::{fs::File, io::Read, net::SocketAddr, path::Path};

use toml::de::DeTable;

use super::{
    Config, ConfigErrors, Metrics, Node, Role, dns_b, dns_lb,
    error::{ConfigError, ErrorKind},
    metrics, node,
    reader::Table,
    report::{Found, Report},
    syntax,
};

/// The largest file that is read: far more than 10,000 services need, and less than what an endless
/// device file would give.
const MAX_FILE: u64 = 64 << 20;

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with line, key and remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let octets = read(path).map_err(|error| {
            whole_file(
                &file,
                error.to_string(),
                "check the path and the rights".to_owned(),
            )
        })?;
        if octets.len() as u64 > MAX_FILE {
            let message = "the file is too large for a configuration".to_owned();
            return Err(whole_file(
                &file,
                message,
                format!("keep it below {MAX_FILE} octets"),
            ));
        }
        match String::from_utf8(octets) {
            Ok(text) => Self::from_text(&file, &text),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                Err(syntax::not_utf8(&file, &text))
            }
        }
    }

    /// Checks `text`; `file` is how messages call it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(file: &str, text: &str) -> Result<Self, ConfigErrors> {
        let report = Report::new(file, text);
        let (document, faults) = DeTable::parse_recoverable(text);
        let config = match faults.as_slice() {
            [] => read_document(document.get_ref(), &report),
            faults => {
                // What the parser made of a damaged text would only raise errors that are none.
                syntax::report_all(&report, text, faults);
                None
            }
        };
        let errors = report.into_errors();
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors(errors)),
        }
    }
}

/// Which role the file is for.
enum RoleName {
    DnsB,
    DnsLb,
}

/// Walks the whole document; every key that is asked for is noted in `report`.
pub(super) fn read_document(document: &DeTable<'_>, report: &Report<'_>) -> Option<Config> {
    let mut root = Table::root(report, document);
    let example = "\"dns-b\" or role = \"dns-lb\"";
    let role = root.required("role", example, |value| match value.text()? {
        "dns-b" => Some(RoleName::DnsB),
        "dns-lb" => Some(RoleName::DnsLb),
        other => value.refuse(
            ErrorKind::OutOfRange,
            format!("there is no role \"{}\"", other.escape_debug()),
            "write \"dns-b\" or \"dns-lb\"",
        ),
    });
    let node = node::read(&mut root, report).map(|found| found.value);
    let limit = node::read_limit(&mut root, report);
    let client_subnet = node::read_client_subnet(&mut root, report);
    let metrics = metrics::read(&mut root);
    let role = match role {
        None => {
            // Which keys belong into the file depends on the role.
            root.finish_loosely();
            None
        }
        Some(RoleName::DnsB) => {
            let role = dns_b::read(&mut root, report, node.as_ref()).map(Role::DnsB);
            root.finish(&dns_b::ELSEWHERE);
            role
        }
        Some(RoleName::DnsLb) => {
            let role = dns_lb::read(&mut root, report, node.as_ref()).map(Role::DnsLb);
            root.finish(&dns_lb::ELSEWHERE);
            role
        }
    };
    let (node, role) = (node?, role?);
    if let Some(metrics) = &metrics {
        refuse_taken(report, metrics, &node, &role);
    }
    Some(Config {
        node,
        limit,
        client_subnet,
        metrics: metrics.map(|metrics| metrics.value),
        role,
    })
}

/// Metrics and what else this node listens on need ports of their own.
fn refuse_taken(report: &Report<'_>, metrics: &Found<Metrics>, node: &Node, role: &Role) {
    let address = metrics.value.listen;
    let meets = |other: SocketAddr| {
        let is_any = address.ip().is_unspecified() || address.ip() == other.ip();
        is_any && address.port() == other.port()
    };
    let dns = node.addresses.iter().map(|ip| SocketAddr::new(*ip, 53));
    let map = match role {
        Role::DnsB(dns_b) => Some(dns_b.map_listen),
        Role::DnsLb(_) => None,
    };
    if let Some(taken) = dns.chain(map).find(|other| meets(*other)) {
        report.add(
            &metrics.at,
            ErrorKind::Conflict,
            format!("{taken} is taken: this node listens there for something else"),
            "take another port, like 9153",
        );
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut octets)?;
    Ok(octets)
}

/// An error of the file itself.
fn whole_file(file: &str, message: String, remedy: String) -> ConfigErrors {
    ConfigErrors(vec![ConfigError {
        file: file.to_owned(),
        line: 1,
        column: 1,
        key: String::new(),
        kind: ErrorKind::Unreadable,
        message,
        remedy,
    }])
}

//! Recursive resolvers as an ISP runs them: the distribution's Unbound and BIND, unchanged.
//!
//! Set are only: where they listen, the root hints, who may ask, validation off (the lab's root is
//! not signed), where they keep their own files, and no control port. Tests that are about QNAME
//! minimisation (RFC 9156) set that one thing besides.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use hickory_proto::{op::ResponseCode, rr::RecordType};

use super::{Host, Program, dns, find_program};

/// A make of resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// NLnet Labs Unbound.
    Unbound,
    /// ISC BIND.
    Bind,
}

/// QNAME minimisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimisation {
    /// As the distribution has it; nothing is written into the configuration.
    Unchanged,
    /// Full names are sent to every server.
    Off,
    /// On, falling back to the full name when a server answers badly.
    Relaxed,
    /// On, without falling back.
    Strict,
}

impl Make {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unbound => "Unbound",
            Self::Bind => "BIND",
        }
    }
}

/// Starts a resolver on `host` that everybody may ask and that knows the root server `root`.
///
/// # Errors
/// When it does not resolve the root's NS.
pub fn start(
    host: &Host,
    make: Make,
    root: Ipv4Addr,
    minimisation: Minimisation,
) -> Result<Program> {
    let hints = host.write(
        "root.hints",
        &format!(". 3600000 NS a.root-servers.net.\na.root-servers.net. 3600000 A {root}\n"),
    )?;
    let hints = hints.display().to_string();
    let command = match make {
        Make::Unbound => {
            let config = host.write("unbound.conf", &unbound(host, &hints, minimisation))?;
            let mut command = host.command(find_program("unbound")?);
            command.args(["-d", "-p", "-c"]).arg(config);
            command
        }
        Make::Bind => {
            let config = host.write("named.conf", &bind(host, &hints, minimisation))?;
            let mut command = host.command(find_program("named")?);
            command.args(["-g", "-c"]).arg(config);
            command
        }
    };
    let mut resolver = host.start(make.name(), command)?;
    resolver.wait_until("the resolver resolves", Duration::from_secs(20), || {
        let answer = dns::ask(host, host.address(), ".", RecordType::NS)?;
        let code = answer.metadata.response_code;
        ensure!(code == ResponseCode::NoError, "it answers {code}");
        Ok(())
    })?;
    Ok(resolver)
}

fn unbound(host: &Host, hints: &str, minimisation: Minimisation) -> String {
    let minimisation = match minimisation {
        Minimisation::Unchanged => "",
        Minimisation::Off => "    qname-minimisation: no\n",
        Minimisation::Relaxed => "    qname-minimisation: yes\n",
        Minimisation::Strict => "    qname-minimisation: yes\n    qname-minimisation-strict: yes\n",
    };
    format!(
        "server:
    interface: {address}
    root-hints: \"{hints}\"
    access-control: 0.0.0.0/0 allow
    module-config: \"iterator\"
    directory: \"{directory}\"
    chroot: \"\"
    username: \"\"
    pidfile: \"\"
    use-syslog: no
{minimisation}remote-control:
    control-enable: no
",
        address = host.address(),
        directory = host.directory().display(),
    )
}

fn bind(host: &Host, hints: &str, minimisation: Minimisation) -> String {
    let minimisation = match minimisation {
        Minimisation::Unchanged => "",
        Minimisation::Off => "    qname-minimization off;\n",
        Minimisation::Relaxed => "    qname-minimization relaxed;\n",
        Minimisation::Strict => "    qname-minimization strict;\n",
    };
    format!(
        "options {{
    listen-on {{ {address}; }};
    directory \"{directory}\";
    pid-file none;
    session-keyfile none;
    allow-query {{ any; }};
    allow-recursion {{ any; }};
    dnssec-validation no;
{minimisation}}};
controls {{ }};
zone \".\" {{ type hint; file \"{hints}\"; }};
",
        address = host.address(),
        directory = host.directory().display(),
    )
}

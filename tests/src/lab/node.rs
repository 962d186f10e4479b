//! `dglb` on a host of the lab: its configuration file, the process, and what `dglb stats` says.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dglb_user::label::Label;

use super::{Host, Program};

pub use stats::Stats;

pub mod stats;

/// A node: a host with a configuration file. Cloning it gives another handle of the same node.
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    host: Host,
    config: PathBuf,
}

impl Node {
    /// A node on `host` with the configuration `toml`; not started yet.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(host: &Host, name: &str, toml: &str) -> Result<Self> {
        Self::new_in(host, "dglb.toml", name, toml)
    }

    /// As [`Node::new`], its configuration in `file`: a host may have several nodes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new_in(host: &Host, file: &str, name: &str, toml: &str) -> Result<Self> {
        Ok(Self {
            name: name.into(),
            host: host.clone(),
            config: host.write(file, toml)?,
        })
    }

    /// Its node name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its label, as it stands in names.
    pub fn label(&self) -> String {
        Label::of_node(&self.name).to_string()
    }

    /// Where its daemon is asked by `dglb stats`.
    pub fn socket(&self) -> PathBuf {
        let run_dir = self.host.directory().with_file_name("run");
        run_dir.join(format!("{}.sock", self.label()))
    }

    /// Where it runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Starts `dglb run` and waits until it answers `dglb stats`.
    ///
    /// # Errors
    /// When it ends instead; with what it said.
    pub fn start(&self) -> Result<Program> {
        let mut program = self.host.start("dglb", self.command("run")?)?;
        program.wait_until("dglb is up", Duration::from_secs(60), || {
            let stats = self.stats()?;
            ensure!(stats.daemon, "{} has no daemon yet", self.name);
            Ok(())
        })?;
        Ok(program)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.host.directory().join("dglb.log")).unwrap_or_default()
    }

    /// What `dglb stats --json` says.
    ///
    /// # Errors
    /// When it fails or says something else than statistics.
    pub fn stats(&self) -> Result<Stats> {
        let output = self.run("stats", &["--json"])?;
        serde_json::from_slice(&output).context("`dglb stats --json` printed something else")
    }

    /// Runs another subcommand to its end and returns what it printed.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn run(&self, subcommand: &str, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = self.command(subcommand)?;
        let output = command.args(arguments).stdin(Stdio::null()).output()?;
        ensure!(
            output.status.success(),
            "`dglb {subcommand}` on {} ended with {}: {}",
            self.host.name(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(output.stdout)
    }

    /// A command for `dglb SUBCOMMAND --config FILE` on its host.
    ///
    /// # Errors
    /// When there is no `dglb` binary.
    pub fn command(&self, subcommand: &str) -> Result<Command> {
        let mut command = self.host.command(dglb_binary()?);
        command.arg(subcommand).arg("--config").arg(&self.config);
        Ok(command)
    }
}

/// The `dglb` to test: `DGLB_BIN`, or the one built beside this program.
///
/// # Errors
/// When there is none.
pub fn dglb_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("DGLB_BIN") {
        return Ok(path.into());
    }
    let own = env::current_exe()?;
    // Integration tests lie one directory deeper, in `deps`.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("dglb"))
        .find(|candidate| candidate.is_file())
        .with_context(|| {
            format!(
                "there is no binary dglb beside {}; build it with `cargo build -p dglb-user`, or \
                 name it in DGLB_BIN",
                own.display()
            )
        })
}

/// What the nodes of a lab share: see [`dns_b_toml`] and [`dns_lb_toml`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the BPF file system is mounted.
    pub bpffs: PathBuf,
    /// The DNS-B's address for DNS.
    pub dns_b: Ipv4Addr,
    /// Its address for the map protocol.
    pub map: Ipv4Addr,
    /// Node names and addresses of the DNS-LBs; the last one is the default.
    pub dns_lbs: Vec<(String, Ipv4Addr)>,
    /// Names and addresses of the sites.
    pub sites: Vec<(String, Ipv4Addr)>,
}

/// Balanced names of the lab with their form of referral, and the zones that they lie in.
const SERVICES: [(&str, &str); 2] = [(WWW, "referral"), (SHOP, "cname")];
const ZONES: [&str; 2] = ["g.foo.com", SHOP];
/// The balanced name that is reached by form R.
pub const WWW: &str = "www.g.foo.com";
/// The balanced name that is reached by form C.
pub const SHOP: &str = "shop.foo.com";
/// The DNS-B's host name in the delegations.
const NS: &str = "ns1.g.foo.com";
/// Port of the map protocol.
const MAP_PORT: u16 = 5353;
const SOA: &str = "soa = { mname = \"ns1.g.foo.com\", rname = \"hostmaster.foo.com\", serial = 1, \
                   minimum = 2, ttl = 2 }";

/// Configuration of the DNS-B. TTLs are short, so that a change is soon seen.
pub fn dns_b_toml(plan: &Plan, name: &str) -> String {
    let addresses = [plan.dns_b, plan.map];
    let default = plan.dns_lbs.last().map_or("", |(name, _)| name);
    let mut toml = format!(
        "role = \"dns-b\"\n{}\n[map]\nlisten = \"{}:{MAP_PORT}\"\nlease = \"5s\"\n\
         default_dns_lb = \"{default}\"\n",
        node_toml(plan, name, &addresses),
        plan.map
    );
    for (name, address) in &plan.dns_lbs {
        toml += &format!("\n[[dns_lb]]\nname = \"{name}\"\naddress = \"{address}\"\n");
    }
    for apex in ZONES {
        toml += &format!("\n[[zone]]\napex = \"{apex}\"\nns = [\"{NS}\"]\n{SOA}\n");
        if NS.ends_with(apex) {
            toml += &format!(
                "[[zone.host]]\nname = \"{NS}\"\nipv4 = \"{}\"\n",
                plan.dns_b
            );
        }
    }
    for (name, form) in SERVICES {
        toml += &format!("\n[[service]]\nname = \"{name}\"\nform = \"{form}\"\nreferral_ttl = 5\n");
    }
    toml
}

/// Configuration of the `index`-th DNS-LB, which is beside `resolver`. The default DNS-LB stands in
/// for all others.
pub fn dns_lb_toml(plan: &Plan, index: usize, resolver: Ipv4Addr) -> String {
    let (name, address) = &plan.dns_lbs[index];
    // Addresses of the lab are none of the Internet.
    let sites = plan.sites.iter();
    let sites: Vec<_> = sites
        .map(|(_, address)| format!("\"{address}/32\""))
        .collect();
    let mut toml = format!(
        "role = \"dns-lb\"\n{}\n[map]\ndns_b = [\"{}:{MAP_PORT}\"]\nrenew = \"1s\"\n\n\
         [resolvers]\naddresses = [\"{resolver}\"]\n\n\
         [probe]\nmin_interval = \"1s\"\nmin_retry = \"200ms\"\nallow = [{}]\n",
        node_toml(plan, name, &[*address]),
        plan.map,
        sites.join(", ")
    );
    if index + 1 == plan.dns_lbs.len() {
        for (name, address) in &plan.dns_lbs[..index] {
            toml += &format!("\n[[dns_lb]]\nname = \"{name}\"\naddress = \"{address}\"\n");
        }
    }
    for (name, form) in SERVICES {
        toml += &format!(
            "\n[[service]]\nname = \"{name}\"\nform = \"{form}\"\nanswer_ttl = 2\n\
             referral_ttl = 5\n{SOA}\n[service.probe]\npath = \"/health\"\ninterval = \"1s\"\n\
             timeout = \"500ms\"\nretry = \"200ms\"\nfall = 2\nrise = 2\n"
        );
        for (site, address) in &plan.sites {
            toml += &format!("[[service.site]]\nname = \"{site}\"\nipv4 = \"{address}\"\n");
        }
    }
    toml
}

fn node_toml(plan: &Plan, name: &str, addresses: &[Ipv4Addr]) -> String {
    let addresses: Vec<_> = addresses
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    format!(
        "[node]\nname = \"{name}\"\ninterfaces = [\"{}\"]\naddresses = [{}]\nbpffs = \"{}\"\n\
         run_dir = \"{}\"\nstate_dir = \"{}\"\n",
        super::INTERFACE,
        addresses.join(", "),
        plan.bpffs.display(),
        plan.bpffs.with_file_name("run").display(),
        plan.bpffs.with_file_name("state").display()
    )
}

#[cfg(test)]
mod tests {
    use dglb_user::config::{Config, Form, Role};

    use super::*;

    fn load(toml: &str) -> Config {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("dglb.toml");
        fs::write(&path, toml).expect("written");
        Config::load(&path).unwrap_or_else(|error| panic!("{error}\n{toml}"))
    }

    fn plan() -> Plan {
        let lb = |name: &str, last| (name.to_owned(), Ipv4Addr::new(198, 51, 100, last));
        Plan {
            bpffs: "/sys/fs/bpf".into(),
            dns_b: Ipv4Addr::new(192, 0, 2, 53),
            map: Ipv4Addr::new(10, 53, 0, 1),
            dns_lbs: vec![lb("lb1.example", 7), lb("lb2.example", 8)],
            sites: vec![("tokyo".into(), Ipv4Addr::new(198, 18, 3, 80))],
        }
    }

    #[test]
    fn the_dns_b_s_file_is_accepted_and_means_what_was_planned() {
        let Role::DnsB(role) = load(&dns_b_toml(&plan(), "b1.example")).role else {
            panic!("another role");
        };
        assert_eq!(role.dns_lbs[role.default_dns_lb].name, "lb2.example");
        let forms: Vec<_> = role.services.iter().map(|service| service.form).collect();
        assert_eq!(forms, [Form::Referral, Form::Cname]);
        assert!(
            role.services
                .iter()
                .all(|service| service.referral_ttl == 5)
        );
    }

    #[test]
    fn only_the_default_dns_lb_stands_in() {
        let resolver = Ipv4Addr::new(198, 51, 100, 53);
        let stands_in_for = |index| match load(&dns_lb_toml(&plan(), index, resolver)).role {
            Role::DnsLb(role) => role.stands_in_for.len(),
            Role::DnsB(_) => panic!("another role"),
        };
        assert_eq!((stands_in_for(0), stands_in_for(1)), (0, 1));
    }
}

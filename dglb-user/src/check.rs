//! `dglb check`: says what is wrong with a configuration file, or what the node would do with it.

mod words;

use std::{io::Write, path::Path};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    config::{
        Config, ConfigErrors, Datapath, DnsB, DnsLb, Form, LbService, ProbeLimits, ResolverSource,
        Role,
        machine::{Findings, MachineError, MachineWarning, PortCheck, check_machine},
    },
    interfaces::index_of,
    kernel::{attach, pins::Pins},
    label::Label,
    name::OwnerName,
    publish::build::incomplete_zones,
};

/// Lines of one kind in the summary; a DNS-B may have thousands of services.
const MAX_LINES: usize = 20;

/// Checks the file at `path`, and unless `offline` whether this machine can run it. Prints what was
/// found to `out`, for people or as one JSON object. Returns whether all is well.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(path: &Path, offline: bool, json: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    let loaded = Config::load(path);
    let mut machine = match &loaded {
        Ok(config) if !offline => {
            let mut found = check_machine(config, PortCheck::Skip);
            found.errors.extend(taken(config));
            found
        }
        Ok(_) | Err(_) => Findings::default(),
    };
    let mut incomplete = Vec::new();
    match loaded.as_ref().map(incomplete_zones) {
        Ok(Ok(zones)) => incomplete = zones,
        Ok(Err(error)) => machine.errors.push(MachineError::Tables {
            reason: error.to_string(),
        }),
        Err(_) => {}
    }
    let ok = loaded.is_ok() && machine.errors.is_empty();
    let interfaces = match &loaded {
        Ok(config) if !offline => interfaces(config, &machine),
        Ok(_) | Err(_) => Vec::new(),
    };
    if json {
        let report = report(path, &loaded, &machine, &interfaces);
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
        return Ok(ok);
    }
    let file = path.display();
    match &loaded {
        Err(errors) => writeln!(out, "{errors}")?,
        Ok(config) => {
            for error in &machine.errors {
                writeln!(out, "{file}: {}: {error}", error.key())?;
            }
            for warning in &machine.warnings {
                writeln!(out, "{file}: {}: warning: {warning}", warning.key())?;
            }
            if ok {
                writeln!(out, "{file}: ok")?;
            }
            write_summary(config, &interfaces, &incomplete, out)?;
        }
    }
    Ok(ok)
}

/// Configured interfaces with somebody else's program; a start would fail there.
fn taken(config: &Config) -> Vec<MachineError> {
    let wanted = match config.node.datapath {
        Datapath::Xdp => config.node.interfaces.as_slice(),
        Datapath::Userspace => &[],
    };
    let error = |(name, reason)| MachineError::Taken {
        key: match wanted.iter().position(|wanted| *wanted == name) {
            Some(index) => format!("node.interfaces[{index}]"),
            None => "node.interfaces".to_owned(),
        },
        name,
        reason,
    };
    let taken = attach::taken(&Pins::of(&config.node), wanted);
    taken.into_iter().map(error).collect()
}

/// How XDP runs, or would run, at a configured interface.
#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    /// The mode in which this node's program is attached now; `None`: it is not, or these rights are too
    /// few to see it.
    attached: Option<&'static str>,
    /// Whether the driver has XDP of its own, as it is set up now; `None`: the kernel does not say.
    native: Option<bool>,
}

impl Interface {
    /// What is known, in a few words.
    fn text(&self) -> String {
        let name = &self.name;
        match (self.attached, self.native) {
            (Some(mode), _) => format!("{name}: attached in {mode} mode"),
            (None, Some(true)) => format!("{name}: its driver has XDP, native mode"),
            (None, Some(false)) => {
                format!("{name}: no XDP in its driver as it is now, generic mode")
            }
            (None, None) => format!("{name}: native mode if its driver has XDP"),
        }
    }
}

fn interfaces(config: &Config, machine: &Findings) -> Vec<Interface> {
    if config.node.datapath == Datapath::Userspace {
        return Vec::new();
    }
    let attached = attach::attached(&Pins::of(&config.node));
    let names = config.node.interfaces.iter();
    names
        .filter(|name| index_of(name).is_some())
        .map(|name| Interface {
            name: name.clone(),
            attached: attached.get(name).map(|mode| mode.name()),
            native: machine.native.get(name).copied(),
        })
        .collect()
}

/// The JSON object: `file`, `ok`, `problems` (of the file), `machine`, `warnings`, `interfaces`,
/// `summary` or null.
fn report(
    path: &Path,
    loaded: &Result<Config, ConfigErrors>,
    machine: &Findings,
    interfaces: &[Interface],
) -> Value {
    let problem =
        |error: &MachineError| json!({ "key": error.key(), "message": error.to_string() });
    let warning =
        |warning: &MachineWarning| json!({ "key": warning.key(), "message": warning.to_string() });
    json!({
        "file": path.display().to_string(),
        "ok": loaded.is_ok() && machine.errors.is_empty(),
        "problems": match loaded {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().collect(),
        },
        "machine": machine.errors.iter().map(problem).collect::<Vec<_>>(),
        "warnings": machine.warnings.iter().map(warning).collect::<Vec<_>>(),
        "interfaces": interfaces,
        "summary": loaded.as_ref().ok().map(summary_json),
    })
}

fn summary_json(config: &Config) -> Value {
    let node = &config.node;
    let (role, services, nodes, probes) = match &config.role {
        Role::DnsB(dns_b) => {
            let services = dns_b.services.iter();
            let services = services.map(|service| {
                json!({ "name": service.name.to_string(), "form": form_text(service.form) })
            });
            let services: Vec<_> = services.collect();
            ("dns-b", services, &dns_b.dns_lbs, Value::Null)
        }
        Role::DnsLb(dns_lb) => {
            let limits = &dns_lb.probe_limits;
            let services = dns_lb.services.iter();
            let services = services.map(|service| service_json(service, limits));
            let services = services.collect();
            (
                "dns-lb",
                services,
                &dns_lb.stands_in_for,
                limits_json(limits),
            )
        }
    };
    json!({
        "role": role,
        "node": node.name,
        "label": own_label(config).map(|label| label.to_string()),
        "datapath": datapath_text(node.datapath),
        "interfaces": node.interfaces,
        "addresses": node.addresses,
        "services": services,
        "dns_lbs": nodes.iter().map(|node| {
            json!({ "name": node.name, "address": node.address, "label": node.label.to_string() })
        }).collect::<Vec<_>>(),
        "probes": probes,
    })
}

/// A service of a DNS-LB: how its sites are probed, and in words who is answered.
fn service_json(service: &LbService, limits: &ProbeLimits) -> Value {
    json!({
        "name": service.name.to_string(),
        "form": form_text(service.form),
        "sites": service.sites.iter().map(|site| json!({
            "name": site.name,
            "ipv4": site.ipv4,
            "ipv6": site.ipv6,
        })).collect::<Vec<_>>(),
        "probe": words::probe(&service.probe.kind, limits),
        "interval_s": service.probe.interval.as_secs_f64(),
        "effective_interval_s": service.effective_interval().as_secs_f64(),
        "policy": words::policy(&service.policy),
    })
}

fn limits_json(limits: &ProbeLimits) -> Value {
    let profiles = limits.profiles.iter().map(|profile| &profile.name);
    json!({
        "user": limits.user,
        "allow": limits.allow.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "min_interval_s": limits.min_interval.as_secs_f64(),
        "min_retry_s": limits.min_retry.as_secs_f64(),
        "max_body": limits.max_body,
        "max_pages": limits.max_pages,
        "concurrency": limits.concurrency,
        "ca_file": limits.ca_file,
        "profiles": profiles.collect::<Vec<_>>(),
    })
}

fn write_summary(
    config: &Config,
    interfaces: &[Interface],
    incomplete: &[OwnerName],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let node = &config.node;
    let addresses = join(&node.addresses);
    let place = match node.datapath {
        Datapath::Xdp => format!("in XDP on {}", join(&node.interfaces)),
        Datapath::Userspace => "in user space".to_owned(),
    };
    match &config.role {
        Role::DnsB(dns_b) => {
            writeln!(out, "DNS-B {} answers on {addresses}, {place}", node.name)?;
            write_interfaces(interfaces, out)?;
            write_dns_b(dns_b, incomplete, out)
        }
        Role::DnsLb(dns_lb) => {
            writeln!(out, "DNS-LB {} answers on {addresses}, {place}", node.name)?;
            write_interfaces(interfaces, out)?;
            write_dns_lb(dns_lb, out)
        }
    }
}

fn write_interfaces(interfaces: &[Interface], out: &mut dyn Write) -> anyhow::Result<()> {
    for interface in interfaces {
        writeln!(out, "  interface {}", interface.text())?;
    }
    Ok(())
}

fn write_dns_b(dns_b: &DnsB, incomplete: &[OwnerName], out: &mut dyn Write) -> anyhow::Result<()> {
    let lease = humantime::format_duration(dns_b.lease);
    writeln!(
        out,
        "  map protocol: listens on {}, lease {lease}",
        dns_b.map_listen
    )?;
    write_lines(
        out,
        "DNS-LBs",
        dns_b.dns_lbs.iter().enumerate(),
        |(index, node)| {
            let default = if *index == dns_b.default_dns_lb {
                ", the default"
            } else {
                ""
            };
            let v6 = node.address_v6;
            let v6 = v6.map_or_else(String::new, |address| format!(" and {address}"));
            let backup = node.backup.map_or_else(String::new, |backup| {
                format!(", backup {}", dns_b.dns_lbs[backup].name)
            });
            format!(
                "{} {}{v6}, label {}{backup}{default}",
                node.name, node.address, node.label
            )
        },
    )?;
    if !dns_b.prefixes.is_empty() {
        write_lines(out, "prefixes", dns_b.prefixes.iter(), |(net, index)| {
            format!("{net} to {}", dns_b.dns_lbs[*index].name)
        })?;
    }
    write_lines(out, "zones", dns_b.zones.iter(), |zone| {
        let slow = if incomplete.contains(&zone.apex) {
            ", not complete: the names of this file have more than 8 different numbers of labels, or the \
             table of rankings no room, so user space answers for absent names"
        } else {
            ""
        };
        format!("{} by {}{slow}", zone.apex, join(&zone.ns))
    })?;
    write_lines(out, "balanced names", dns_b.services.iter(), |service| {
        let form = form_text(service.form);
        format!(
            "{} by form {form}, referral TTL {} s",
            service.name, service.referral_ttl
        )
    })
}

fn write_dns_lb(dns_lb: &DnsLb, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "  announces {}, label {}",
        dns_lb.address, dns_lb.label
    )?;
    let renew = humantime::format_duration(dns_lb.renew);
    writeln!(
        out,
        "  map protocol: to {}, renews every {renew}",
        join(&dns_lb.dns_bs)
    )?;
    match &dns_lb.resolvers {
        ResolverSource::Listed(addresses) => {
            write_lines(out, "resolvers", addresses.iter(), ToString::to_string)?;
        }
        ResolverSource::ResolvConf(path) => {
            writeln!(out, "  resolvers: from {}", path.display())?;
        }
    }
    if !dns_lb.stands_in_for.is_empty() {
        write_lines(out, "stands in for", dns_lb.stands_in_for.iter(), |node| {
            format!("{} {}, label {}", node.name, node.address, node.label)
        })?;
    }
    let limits = &dns_lb.probe_limits;
    writeln!(out, "  probes: {}", words::limits(limits))?;
    write_lines(out, "balanced names", dns_lb.services.iter(), |service| {
        let sites: Vec<_> = service
            .sites
            .iter()
            .map(|site| site.name.as_str())
            .collect();
        format!(
            "{} by form {}, answer TTL {} s, sites {}, probed by {} {}\n      answered: {}",
            service.name,
            form_text(service.form),
            service.answer_ttl,
            sites.join(", "),
            words::probe(&service.probe.kind, limits),
            words::pace(service),
            words::policy(&service.policy),
        )
    })
}

/// A headline with the number of items, and a line for each of the first ones.
fn write_lines<T>(
    out: &mut dyn Write,
    headline: &str,
    items: impl ExactSizeIterator<Item = T>,
    line: impl Fn(&T) -> String,
) -> anyhow::Result<()> {
    let count = items.len();
    writeln!(out, "  {headline}: {count}")?;
    for item in items.take(MAX_LINES) {
        writeln!(out, "    {}", line(&item))?;
    }
    if count > MAX_LINES {
        writeln!(out, "    and {} more", count - MAX_LINES)?;
    }
    Ok(())
}

fn join<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

fn own_label(config: &Config) -> Option<Label> {
    match &config.role {
        Role::DnsB(_) => None,
        Role::DnsLb(dns_lb) => Some(dns_lb.label),
    }
}

fn datapath_text(datapath: Datapath) -> &'static str {
    match datapath {
        Datapath::Xdp => "xdp",
        Datapath::Userspace => "userspace",
    }
}

fn form_text(form: Form) -> &'static str {
    match form {
        Form::Referral => "referral",
        Form::Cname => "cname",
        Form::Direct => "direct",
        Form::Cache => "cache",
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn example(name: &str) -> PathBuf {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
        docs.join(name)
    }

    fn checked(path: &Path, offline: bool, json: bool) -> (bool, String) {
        let mut out = Vec::new();
        let ok = run(path, offline, json, &mut out).expect("a vector can be written");
        (ok, String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn both_examples_are_ok_and_summed_up() {
        let (ok, text) = checked(&example("dns-b.toml"), true, false);
        assert!(ok && text.contains("dns-b.toml: ok\n"), "{text}");
        let label = Label::of_node("lb1.isp1.example");
        let default = format!("lb1.isp1.example 198.51.100.7, label {label}, the default");
        for piece in [
            "DNS-B b1.backbone.example answers on 192.0.2.53, in XDP on eth0",
            "listens on 10.53.0.1:5353, lease 10s",
            default.as_str(),
            "balanced names: 2",
            "www.g.foo.com. by form referral",
        ] {
            assert!(text.contains(piece), "{piece} is not in {text}");
        }
        let (ok, text) = checked(&example("dns-lb.toml"), true, false);
        assert!(ok && text.contains("dns-lb.toml: ok\n"), "{text}");
        for piece in [
            "announces 198.51.100.7, label lb",
            "to 10.53.0.1:5353, renews every 3s",
            "sites frankfurt, tokyo, rented, probed by http://www.g.foo.com:80/health every 10s\n      answered: the least \
             of latency + 2 × cost",
            "probes: as nobody, at most 1024 at once, every 5s or slower, retries every 1s or slower, 8 pages of \
             1048576 octets; beside public addresses 192.0.2.0/24, 203.0.113.0/24, 2001:db8::/32; \
             profiles database",
        ] {
            assert!(text.contains(piece), "{piece} is not in {text}");
        }
        let (_, text) = checked(&example("dns-lb.toml"), true, true);
        let summary = &serde_json::from_str::<Value>(&text).expect("JSON")["summary"];
        assert_eq!(summary["probes"]["min_interval_s"], 5.0);
        let service = &summary["services"][0];
        assert_eq!(
            (
                &service["name"],
                &service["form"],
                &service["effective_interval_s"]
            ),
            (&json!("www.g.foo.com."), &json!("referral"), &json!(10.0))
        );
        assert_eq!(service["sites"][0]["ipv6"], "2001:db8:1::80");
    }

    #[test]
    fn backups_prefixes_and_zones_that_are_not_complete_are_told() {
        let deep = "x.".repeat(9);
        let toml = std::fs::read_to_string(example("dns-b.toml"))
            .expect("an example")
            .replacen(
                "address = \"203.0.113.7\"",
                "address = \"203.0.113.7\"\naddress_v6 = \"2001:db8::7\"\nbackup = \"lb1.isp1.example\"",
                1,
            )
            .replacen(
                "[[service]]",
                &format!("[[zone.host]]\nname = \"{deep}g.foo.com\"\nipv6 = \"2001:db8::1\"\n[[service]]"),
                1,
            );
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("deep.toml");
        std::fs::write(&path, toml).expect("written");
        let (ok, text) = checked(&path, true, false);
        assert!(ok, "{text}");
        for piece in [
            "lb2.isp2.example 203.0.113.7 and 2001:db8::7, label lb",
            ", backup lb1.isp1.example",
            "198.18.0.0/15 to lb2.isp2.example",
            "g.foo.com. by ns1.g.foo.com., not complete",
        ] {
            assert!(text.contains(piece), "{piece} is not in {text}");
        }
        assert!(
            !text.contains("shop.foo.com. by ns1.g.foo.com., not"),
            "{text}"
        );
    }

    #[test]
    fn a_machine_without_the_addresses_is_a_problem_but_offline() {
        let (ok, text) = checked(&example("dns-b.toml"), false, false);
        assert!(!ok && !text.contains(": ok"), "{text}");
        assert!(text.contains("ip address add 192.0.2.53/32"), "{text}");
        let (ok, text) = checked(&example("dns-b.toml"), false, true);
        let report: Value = serde_json::from_str(&text).expect("JSON");
        assert!(!ok && report["ok"] == false && report["problems"] == json!([]));
        assert_eq!(report["summary"]["role"], "dns-b");
        let keys: Vec<_> = report["machine"]
            .as_array()
            .expect("a list")
            .iter()
            .collect();
        assert!(
            keys.iter().any(|error| error["key"] == "node.addresses[0]"),
            "{text}"
        );
    }

    #[test]
    fn problems_are_printed_one_a_line_and_as_json() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("bad.toml");
        std::fs::write(&path, "role = \"dns-c\"\n[node]\nnmae = \"b1\"\n").expect("written");
        let (ok, text) = checked(&path, true, false);
        assert!(!ok);
        assert!(
            text.contains("bad.toml:1:8: role: there is no role \"dns-c\""),
            "{text}"
        );
        assert!(
            text.contains("bad.toml:3:1: node.nmae: unknown key"),
            "{text}"
        );
        let (ok, text) = checked(&path, true, true);
        let report: Value = serde_json::from_str(&text).expect("JSON");
        assert!(!ok && report["ok"] == false && report["summary"].is_null());
        assert_eq!(report["problems"][0]["line"], 1);
        assert_eq!(report["problems"][0]["kind"], "out-of-range");
    }

    #[test]
    fn a_file_that_is_not_there_is_a_problem_with_its_path() {
        let (ok, text) = checked(Path::new("/no/such/file.toml"), true, false);
        assert!(!ok && text.contains("/no/such/file.toml"), "{text}");
    }
}

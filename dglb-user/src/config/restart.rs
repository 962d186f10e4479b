//! What of a configuration belongs to the process: a running node takes another one only if this is the
//! same.

use std::mem::discriminant;

use super::Config;

/// The keys of what is different and can't be changed while the node runs.
pub fn restart_needed(present: &Config, next: &Config) -> Vec<&'static str> {
    let (old, new) = (&present.node, &next.node);
    let is_other_role = discriminant(&present.role) != discriminant(&next.role);
    let all = [
        ("role", is_other_role),
        ("node.name", old.name != new.name),
        ("node.datapath", old.datapath != new.datapath),
        ("node.bpffs", old.bpffs != new.bpffs),
        ("node.run_dir", old.run_dir != new.run_dir),
        ("node.control_group", old.control_group != new.control_group),
        ("node.state_dir", old.state_dir != new.state_dir),
        ("metrics", present.metrics != next.metrics),
    ];
    all.into_iter()
        .filter_map(|(key, is_other)| is_other.then_some(key))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNS_LB: &str = include_str!("../../../docs/examples/dns-lb.toml");
    const DNS_B: &str = include_str!("../../../docs/examples/dns-b.toml");

    fn load(text: &str) -> Config {
        Config::from_text("x.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn what_belongs_to_the_process_is_named() {
        let present = load(DNS_LB);
        for (from, to, key) in [
            ("name = \"lb1", "name = \"lb9", "node.name"),
            (
                "# datapath = \"xdp\"",
                "datapath = \"userspace\"",
                "node.datapath",
            ),
            (
                "# bpffs = \"/sys/fs/bpf\"",
                "bpffs = \"/bpf\"",
                "node.bpffs",
            ),
            (
                "# run_dir = \"/run/dglb\"",
                "run_dir = \"/run\"",
                "node.run_dir",
            ),
            (
                "# state_dir = \"/var/lib/dglb\"",
                "state_dir = \"/var\"",
                "node.state_dir",
            ),
            ("# control_group", "control_group", "node.control_group"),
            ("# sites = true", "sites = false", "metrics"),
            ("127.0.0.1:9153", "127.0.0.1:9154", "metrics"),
        ] {
            let next = load(&DNS_LB.replacen(from, to, 1));
            assert_eq!(restart_needed(&present, &next), [key]);
        }
        let other = restart_needed(&present, &load(DNS_B));
        assert_eq!(other, ["role", "node.name"]);
    }

    #[test]
    fn all_else_may_change() {
        let present = load(DNS_LB);
        for (from, to) in [
            ("interfaces = [\"eth0\"]", "interfaces = [\"eth1\"]"),
            ("# answer_ttl = 60", "answer_ttl = 30"),
            ("location = \"50 7 0 N 8 41 0 E\"", "location = \"1, 2\""),
            ("# concurrency = 1024", "concurrency = 10"),
            ("# renew = \"3s\"", "renew = \"1s\""),
        ] {
            assert!(DNS_LB.contains(from), "{from}");
            let next = load(&DNS_LB.replacen(from, to, 1));
            assert!(restart_needed(&present, &next).is_empty(), "{to}");
        }
    }
}

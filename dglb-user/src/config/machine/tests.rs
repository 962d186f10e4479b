//! Judgements over invented machines, and a look at the real one.

use std::net::Ipv4Addr;

use super::{error::MachineError, facts, *};
use crate::interfaces::{Interface, Offloads};

const DNS_B: &str = include_str!("../../../../docs/examples/dns-b.toml");

fn config(change: impl Fn(&str) -> String) -> Config {
    Config::from_text("dns-b.toml", &change(DNS_B)).expect("a changed example")
}

/// A machine on which the example runs.
pub(super) fn good() -> Facts {
    Facts {
        interfaces: vec![interface(2, "eth0"), interface(1, "lo")],
        offloads: BTreeMap::new(),
        native: BTreeMap::new(),
        own: ["127.0.0.0/8", "192.0.2.53/32", "10.53.0.1/32"]
            .map(|net| net.parse().expect(net))
            .into(),
        release: "6.1.0-18-amd64".into(),
        may_bpf: true,
        may_perfmon: true,
        may_net_admin: true,
        may_bind: true,
        bpffs: Bpffs::Mounted,
        has_control_group: true,
        has_probe_user: true,
        ca_file_fault: None,
    }
}

pub(super) fn example() -> Config {
    config(str::to_owned)
}

pub(super) fn interface(index: u32, name: &str) -> Interface {
    Interface {
        index,
        name: name.into(),
        mtu: 1500,
        ..Interface::default()
    }
}

/// The one error on a machine that `change` spoiled.
fn only_error(config: &Config, change: impl FnOnce(&mut Facts)) -> (String, String) {
    let mut facts = good();
    change(&mut facts);
    let errors = judge(config, &facts);
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0].key().to_owned(), errors[0].to_string())
}

#[test]
fn a_machine_that_fits_has_no_errors() {
    assert_eq!(judge(&example(), &good()), []);
}

#[test]
fn a_missing_interface_is_named_with_those_that_exist() {
    let (key, message) = only_error(&example(), |facts| {
        facts.interfaces = vec![interface(2, "ens3"), interface(1, "lo")];
    });
    assert_eq!(key, "node.interfaces[0]");
    assert!(
        message.contains("\"eth0\"") && message.contains("ens3, lo"),
        "{message}"
    );
}

#[test]
fn a_missing_address_comes_with_the_command_that_adds_it() {
    let (key, message) = only_error(&example(), |facts| {
        facts.own.retain(|net| net.to_string() != "192.0.2.53/32");
    });
    assert_eq!(key, "node.addresses[0]");
    assert!(
        message.contains("ip address add 192.0.2.53/32 dev eth0"),
        "{message}"
    );
    let (key, _) = only_error(&example(), |facts| {
        facts.own.retain(|net| net.to_string() != "10.53.0.1/32");
    });
    assert_eq!(key, "map.listen");
}

#[test]
fn missing_rights_are_named_together() {
    let (_, message) = only_error(&example(), |facts| {
        (facts.may_bpf, facts.may_perfmon) = (false, false);
        (facts.may_net_admin, facts.may_bind) = (false, false);
    });
    assert!(
        message.contains("CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE"),
        "{message}"
    );
    let (_, message) = only_error(&example(), |facts| facts.may_net_admin = false);
    assert!(
        message.contains("CAP_NET_ADMIN") && !message.contains("CAP_BPF"),
        "{message}"
    );
}

#[test]
fn bpffs_that_is_not_there_comes_with_the_mount_command() {
    for (state, piece) in [
        (Bpffs::Other, "mount -t bpf bpf /sys/fs/bpf"),
        (
            Bpffs::Absent,
            "mkdir -p /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf",
        ),
        (Bpffs::Forbidden, "as root"),
    ] {
        let (key, message) = only_error(&example(), |facts| facts.bpffs = state);
        assert_eq!(key, "node.bpffs");
        assert!(message.contains(piece), "{message}");
    }
}

#[test]
fn old_kernels_are_refused_and_only_those() {
    for (release, refused) in [
        ("5.10.0-28-amd64", true),
        ("6.0.19", true),
        ("6.1.0", false),
        ("6.18.44", false),
        ("10.0.0", false),
    ] {
        let mut facts = good();
        facts.release = release.into();
        let errors = judge(&example(), &facts);
        assert_eq!(errors.len(), usize::from(refused), "{release}: {errors:?}");
    }
    let (_, message) = only_error(&example(), |facts| facts.release = "5.15.0".into());
    assert!(
        message.contains("5.15.0") && message.contains("6.1"),
        "{message}"
    );
    // By its version it may have everything: nothing is named.
    assert!(!message.contains("lacks"), "{message}");
    for (release, lacks, has) in [
        (
            "5.10.0-28-amd64",
            "bpf_ktime_get_coarse_ns (Linux 5.11 and later)",
            "links",
        ),
        (
            "5.8.18",
            "pinned links of XDP programs (Linux 5.9 and later)",
            "ring buffers",
        ),
        (
            "4.19.0",
            "loops in BPF programs (Linux 5.3 and later)",
            "arrays of maps",
        ),
    ] {
        let (_, message) = only_error(&example(), |facts| facts.release = release.into());
        assert!(message.contains(release), "{message}");
        assert!(message.contains("6.1 or newer"), "{message}");
        assert!(message.contains(lacks), "{message}");
        assert!(!message.contains(has), "{message}");
    }
    assert_eq!(facts::version_of("unknown"), None);
    assert_eq!(facts::version_of("6"), None);
}

#[test]
fn user_space_needs_neither_bpf_nor_interfaces() {
    let config = config(|text| text.replace("# datapath = \"xdp\"", "datapath = \"userspace\""));
    let mut facts = good();
    facts.interfaces.clear();
    facts.release = "5.10.0".into();
    facts.bpffs = Bpffs::Absent;
    (facts.may_bpf, facts.may_perfmon, facts.may_net_admin) = (false, false, false);
    assert_eq!(judge(&config, &facts), []);
    facts.may_bind = false;
    assert_eq!(judge(&config, &facts).len(), 1);
}

#[test]
fn the_real_machine_has_a_loopback_and_not_the_example_address() {
    let mut config = example();
    config.node.bpffs = "/".into();
    config.node.interfaces = vec!["lo".into()];
    config.node.control_group = Some("no-such-group".into());
    let facts = Facts::gather(&config).expect("the kernel answers");
    assert_eq!(facts.bpffs, Bpffs::Other);
    assert!(facts.names().contains(&"lo"));
    assert_eq!(facts.offloads["lo"], Offloads::default());
    assert_ne!(facts.native.get("lo"), Some(&true));
    assert!(facts.has_address(Ipv4Addr::new(127, 9, 8, 7).into()));
    assert!(!facts.has_address(Ipv4Addr::new(203, 0, 113, 53).into()));
    assert!(!facts.has_control_group && facts.has_probe_user);
    config.node.bpffs = "/no/such/directory".into();
    config.node.control_group = Some("root".into());
    let gone = Facts::gather(&config).expect("the kernel answers");
    assert_eq!(gone.bpffs, Bpffs::Absent);
    assert!(gone.has_control_group);
}

#[test]
fn a_taken_port_is_told_from_one_that_cannot_be_bound() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (address, _holder): (_, Box<dyn std::any::Any>) = match transport {
            Transport::Udp => {
                let socket = std::net::UdpSocket::bind(free).expect("a free port");
                (socket.local_addr().expect("bound"), Box::new(socket))
            }
            Transport::Tcp => {
                let socket = std::net::TcpListener::bind(free).expect("a free port");
                (socket.local_addr().expect("bound"), Box::new(socket))
            }
        };
        let source = facts::try_port(address, transport).expect_err("it is taken");
        let error = MachineError::of_bind("node.addresses[0]".into(), address, transport, &source);
        assert!(matches!(error, MachineError::PortTaken { .. }), "{error}");
        assert!(error.to_string().contains("ss -lnp"), "{error}");

        let elsewhere = SocketAddr::from((Ipv4Addr::new(203, 0, 113, 53), 5353));
        let source = facts::try_port(elsewhere, transport).expect_err("not on this machine");
        let error = MachineError::of_bind("map.listen".into(), elsewhere, transport, &source);
        assert!(matches!(error, MachineError::PortRefused { .. }), "{error}");
    }
}

#[test]
fn ports_are_tried_only_when_asked_for() {
    let loopback = Ipv4Addr::LOCALHOST;
    let holder = std::net::TcpListener::bind((loopback, 0)).expect("a free port");
    let taken = holder.local_addr().expect("bound");
    let config = config(|text| text.replace("10.53.0.1:5353", &taken.to_string()));
    let of_map = |ports| {
        let findings = check_machine(&config, ports);
        findings
            .errors
            .iter()
            .filter(|error| error.key() == "map.listen")
            .count()
    };
    assert_eq!((of_map(PortCheck::Skip), of_map(PortCheck::Bind)), (0, 1));
}

#[test]
fn features_stand_by_age_and_none_is_younger_than_the_oldest_kernel() {
    assert!(needs::FEATURES.is_sorted_by_key(|feature| feature.since));
    assert_eq!(needs::newer_than(MIN_KERNEL).count(), 0);
    assert_eq!(needs::newer_than((4, 7)).count(), needs::FEATURES.len());
    assert_eq!(needs::told([]), "");
}

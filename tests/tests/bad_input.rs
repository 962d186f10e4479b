//! What a node cannot run with: each time one message that says what, where and what to do, an exit
//! code that is not 0, and nothing left behind. And packets that are no queries, over a real wire.

use std::{
    fs,
    net::{SocketAddrV4, TcpListener, UdpSocket},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    frames::Frames,
    is_root,
    lab::{
        find_program,
        node::{SHOP, Stats, WWW, dglb_binary},
        wait,
    },
    oracle::{self, Form},
    rig::{
        DEFAULT, DNS_B, MAP, RESOLVER, Rig, UNLIMITED,
        attempt::{self, Attempt},
        kernel,
    },
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// `nobody` of Debian; any user without rights would do.
const NOBODY: u32 = 65_534;
const ROOT: u32 = 0;
/// Malformed packets that are sent.
const MALFORMED: u64 = 3000;

/// What is wrong with a file: text of a good one, what stands there instead, and what the message has to
/// hold: the key, what is wrong, and what to do.
struct Wrong(&'static str, &'static str, [&'static str; 3]);

/// In the file of a DNS-B.
const WRONG: [Wrong; 12] = [
    Wrong(
        "role = \"dns-b\"",
        "",
        [":1:1: role", "missing", "add role = \"dns-b\""],
    ),
    Wrong(
        "role = \"dns-b\"",
        "role = \"dns-c\"",
        [":1:", "no role \"dns-c\"", "write \"dns-b\" or \"dns-lb\""],
    ),
    Wrong(
        "name = \"www.g.foo.com\"",
        "name = \"www..g.foo.com\"",
        ["service[0].name", "www..g.foo.com", "empty"],
    ),
    Wrong(
        "name = \"www.g.foo.com\"",
        "name = \"WWW.TOOLONG.g.foo.com\"",
        ["service[0].name", "63", "octets"],
    ),
    Wrong(
        "name = \"www.g.foo.com\"",
        "name = \"WWW.MANYLABELS.g.foo.com\"",
        ["service[0].name", "239 octets", "at most 236"],
    ),
    Wrong(
        "name = \"www.g.foo.com\"",
        "name = \"lb0123456789abc.g.foo.com\"",
        ["service[0].name", "lb0123456789abc", "reserved"],
    ),
    Wrong(
        "form = \"referral\"",
        "form = \"referal\"",
        ["service[0].form", "referal", "\"referral\""],
    ),
    Wrong(
        "lease = \"5s\"",
        "lease = 5",
        ["map.lease", "a duration is needed", "\"5s\" for seconds"],
    ),
    Wrong(
        "interfaces = [\"eth0\"]",
        "interfaces = [\"eth7\"]",
        ["node.interfaces[0]", "no interface \"eth7\"", "eth0, lo"],
    ),
    Wrong(
        "\"192.0.2.53\", \"10.53.0.1\"]",
        "\"192.0.2.99\", \"10.53.0.1\"]",
        ["node.addresses[0]", "192.0.2.99", "ip address add"],
    ),
    Wrong(
        "listen = \"10.53.0.1:5353\"",
        "listen = \"8.8.8.8:5353\"",
        ["map.listen", "8.8.8.8", "10.0.0.0/8"],
    ),
    Wrong(
        "listen = \"10.53.0.1:5353\"",
        "listen = \"10.53.0.9:5353\"",
        ["map.listen", "10.53.0.9", "ip address add"],
    ),
];

/// A library that only the tests have may teach the parser more than the program knows.
#[test]
fn the_program_itself_takes_the_examples() -> Result<()> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    for example in ["dns-b.toml", "dns-lb.toml"] {
        let mut command = Command::new(dglb_binary()?);
        command.args(["check", "--offline", "--config"]);
        let output = command.arg(examples.join(example)).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{example}: {said}");
    }
    Ok(())
}

#[test]
fn a_wrong_file_is_refused_with_what_where_and_what_to_do() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = Rig::dns_b("lab-bad", UNLIMITED)?;
    for Wrong(good, bad, words) in &WRONG {
        ensure!(rig.toml.contains(good), "{good} does not stand there");
        let bad = bad
            .replace("TOOLONG", &"x".repeat(64))
            .replace("MANYLABELS", &vec!["x".repeat(55); 4].join("."));
        let attempt = attempt::run(rig.node.host(), &rig.toml.replacen(good, &bad, 1))?;
        expect_refused(&rig, &attempt, words).context(bad)?;
    }
    // What is no TOML.
    for (toml, words) in [
        (
            "role = dns-b",
            ["attempt.toml:1:", "no TOML", "double quotes"],
        ),
        ("role", ["attempt.toml:1:", "no TOML", "key = value"]),
    ] {
        let attempt = attempt::run(rig.node.host(), toml)?;
        expect_refused(&rig, &attempt, &words)?;
    }
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_is_refused() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = Rig::dns_b("lab-nofile", UNLIMITED)?;
    let host = rig.node.host();
    let at = |path: &Path, user: u32| run_as(&rig, path, user);
    let missing = host.directory().join("missing.toml");
    let words = ["missing.toml", "No such file", "check the path"];
    expect_refused(&rig, &at(&missing, ROOT)?, &words)?;
    let words = ["dns-b", "directory", "check the path"];
    expect_refused(&rig, &at(host.directory(), ROOT)?, &words)?;
    // Far more than a file, and never ending.
    let words = ["/dev/zero", "too large", "keep it below"];
    expect_refused(&rig, &at(Path::new("/dev/zero"), ROOT)?, &words)?;
    let secret = host.write("secret.toml", &rig.toml)?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let words = ["secret.toml", "Permission denied", "rights"];
    expect_refused(&rig, &at(&secret, NOBODY)?, &words)
}

#[test]
fn a_node_without_rights_is_refused() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = Rig::dns_b("lab-norights", UNLIMITED)?;
    fs::set_permissions(rig.node.config(), fs::Permissions::from_mode(0o644))?;
    let attempt = run_as(&rig, rig.node.config(), NOBODY)?;
    expect_refused(&rig, &attempt, &["CAP_BPF", "rights", "root"])
}

#[test]
fn a_taken_port_or_interface_is_refused() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = Rig::dns_b("lab-taken", UNLIMITED)?;
    let host = rig.node.host();
    let run = || attempt::run(host, &rig.toml);
    let namespace = host.namespace();

    let taken = namespace.enter(|| UdpSocket::bind((DNS_B, 53)))??;
    expect_refused(&rig, &run()?, &["192.0.2.53:53", "UDP", "ss -lnpu"])?;
    drop(taken);
    let taken = namespace.enter(|| TcpListener::bind((DNS_B, 53)))??;
    expect_refused(&rig, &run()?, &["192.0.2.53:53", "TCP", "ss -lnpt"])?;
    drop(taken);
    let taken = namespace.enter(|| TcpListener::bind((MAP, 5353)))??;
    expect_refused(&rig, &run()?, &["map.listen", "10.53.0.1:5353", "ss -lnpt"])?;
    drop(taken);

    let foreign = kernel::Foreign::attach(namespace, "other0")?;
    let toml = rig.toml.replace("\"eth0\"", "\"other0\"");
    let words = [
        "other0",
        "another XDP program",
        "\"pass\"",
        "native mode",
        "bpftool link detach id",
    ];
    let attempt = attempt::run(host, &toml)?;
    expect_said(&attempt, &words)?;
    kernel::expect_xdp_at(namespace, &["other0"])?;
    expect_no_traces(&rig)?;
    // Of two, the other one is given back.
    let toml = rig.toml.replace("\"eth0\"", "\"eth0\", \"other0\"");
    expect_said(&attempt::run(host, &toml)?, &words)?;
    kernel::expect_xdp_at(namespace, &["other0"])?;
    expect_no_traces(&rig)?;
    drop(foreign);

    // With all that out of the way it starts.
    let mut daemon = rig.node.start()?;
    daemon.check_running()
}

#[test]
fn a_bpf_file_system_that_is_none_is_refused() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = Rig::dns_b("lab-bpffs", UNLIMITED)?;
    let host = rig.node.host();
    let with = |path: &Path| {
        let bpffs = rig.plan.bpffs.display().to_string();
        rig.toml.replace(&bpffs, &path.display().to_string())
    };
    let plain = host.directory().join("plain");
    fs::create_dir(&plain)?;
    let attempt = attempt::run(host, &with(&plain))?;
    expect_refused(
        &rig,
        &attempt,
        &["node.bpffs", "no BPF file system", "mount -t bpf"],
    )?;
    assert_eq!(fs::read_dir(&plain)?.count(), 0);
    let absent = host.directory().join("absent");
    let attempt = attempt::run(host, &with(&absent))?;
    expect_refused(
        &rig,
        &attempt,
        &["node.bpffs", "does not exist", "mkdir -p"],
    )?;
    assert!(!absent.exists());
    let file = host.write("file", "")?;
    let attempt = attempt::run(host, &with(&file))?;
    expect_refused(
        &rig,
        &attempt,
        &["node.bpffs", "no BPF file system", "mount -t bpf"],
    )
}

/// Queries spoilt in every way, over the wire: XDP answers none that is no plain query.
#[test]
fn malformed_packets_are_never_answered_in_xdp() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-malformed", UNLIMITED)?;
    rig.start()?;
    let raw = rig.asker.namespace().enter(|| {
        let raw = Protocol::from(255);
        Socket::new(Domain::IPV4, Type::RAW, Some(raw))
    })??;
    let to = SockAddr::from(SocketAddrV4::new(DNS_B, 0));
    let mut sent = 0;
    for frame in Frames::new(&rig.model()?, 0xbad_f00d) {
        // The kernel writes EtherType, total length and the header's checksum itself.
        let mut on_the_wire = frame.octets;
        let total = on_the_wire.len().saturating_sub(14) as u16;
        if total < 20 || on_the_wire[14] & 0xf != 5 {
            continue;
        }
        on_the_wire[12..14].copy_from_slice(&[8, 0]);
        on_the_wire[16..18].copy_from_slice(&total.to_be_bytes());
        let message = oracle::frame::payload(&on_the_wire);
        if message.is_some_and(|message| matches!(oracle::form(message, false), Form::Plain(_))) {
            continue;
        }
        // A header that the kernel would not send is not for this test.
        if raw.send_to(&on_the_wire[14..], &to).is_ok() {
            sent += 1;
        }
        if sent == MALFORMED {
            break;
        }
        // No more at once than a ring holds.
        if sent % 64 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    let passed = |stats: &Stats| stats.passed.iter().map(|reason| reason.count).sum::<u64>();
    wait::until("they have arrived", Duration::from_secs(20), || {
        let passed = passed(&rig.node.stats()?);
        // Some the router in between throws away.
        ensure!(passed >= MALFORMED / 2, "{passed} of {MALFORMED}");
        Ok(())
    })?;
    for row in &rig.node.stats()?.rows {
        assert_eq!(row.xdp, 0, "{} in XDP", row.row);
    }
    // User space says that they are wrong, and to the next one what is right.
    let error = rig.node.stats()?.row("error").map(|row| row.user);
    assert!(error > Some(100), "errors answered: {error:?}");
    assert_eq!(rig.referred_to(RESOLVER)?, DEFAULT);
    rig.daemon()?.check_running()
}

#[test]
fn a_truncated_answer_is_fetched_by_tcp() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    // So long names that NS set and addresses do not fit in 512 octets.
    let mut rig = Rig::dns_b("lab-tcp", UNLIMITED)?;
    let mut toml = rig.toml.clone();
    let hosts: Vec<_> = (0..8)
        .map(|index| format!("{}{index}.g.foo.com", "long".repeat(14)))
        .collect();
    let quoted: Vec<_> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
    toml = toml.replacen(
        "ns = [\"ns1.g.foo.com\"]",
        &format!("ns = [\"ns1.g.foo.com\", {}]", quoted.join(", ")),
        1,
    );
    let entries = hosts.iter().enumerate().map(|(index, host)| {
        format!(
            "[[zone.host]]\nname = \"{host}\"\nipv4 = \"192.0.2.{}\"\n",
            100 + index
        )
    });
    toml = toml.replacen(
        "[[zone.host]]\n",
        &format!("{}[[zone.host]]\n", entries.collect::<String>()),
        1,
    );
    rig.configure(&toml)?;
    rig.start()?;
    let ask = |tool: &str, arguments: &[&str]| -> Result<String> {
        let mut command = rig.asker.command(find_program(tool)?);
        command.arg(format!("@{DNS_B}")).args(arguments);
        let output = command.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr))
    };
    let name = ["g.foo.com", "NS", "+noedns"];
    for tool in ["dig", "kdig"] {
        let kept = ask(tool, &[&name[..], &["+ignore"]].concat())?.to_lowercase();
        ensure!(flags(&kept)?.contains(&"tc"), "{tool} sees no TC:\n{kept}");
        for options in [&[][..], &["+tcp"]] {
            let whole = ask(tool, &[&name[..], options].concat())?.to_lowercase();
            ensure!(
                !flags(&whole)?.contains(&"tc"),
                "{tool} {options:?}:\n{whole}"
            );
            for host in &hosts {
                ensure!(
                    whole.contains(host),
                    "{tool} {options:?}: no {host}:\n{whole}"
                );
            }
        }
        // What XDP answers by UDP is answered the same by TCP.
        for name in [WWW, SHOP] {
            let records = |options: &[&str]| -> Result<Vec<String>> {
                let said = ask(tool, &[&[name, "A"][..], options].concat())?;
                let lines = said.lines().filter(|line| !line.starts_with(';'));
                let mut lines: Vec<_> = lines.map(str::to_owned).collect();
                lines.retain(|line| !line.is_empty());
                lines.sort();
                ensure!(!lines.is_empty(), "{tool} {name} {options:?}:\n{said}");
                Ok(lines)
            };
            assert_eq!(records(&[])?, records(&["+tcp"])?, "{tool} {name}");
        }
    }
    Ok(())
}

fn flags(output: &str) -> Result<Vec<&str>> {
    let (_, flags) = output.split_once(";; flags:").context("no flags")?;
    let (flags, _) = flags.split_once(';').context("no end of flags")?;
    Ok(flags.split_whitespace().collect())
}

/// Refused as it ought to be, with nothing left behind.
fn expect_refused(rig: &Rig, attempt: &Attempt, words: &[&str]) -> Result<()> {
    expect_said(attempt, words)?;
    kernel::expect_xdp_at(rig.node.host().namespace(), &[])?;
    expect_no_traces(rig)
}

fn expect_said(attempt: &Attempt, words: &[&str]) -> Result<()> {
    let said = &attempt.said;
    ensure!(!attempt.success, "it succeeded:\n{said}");
    for word in words {
        ensure!(said.contains(word), "no \"{word}\" in:\n{said}");
    }
    // A backtrace or a panic is no message.
    ensure!(
        !said.contains("panicked") && !said.contains("stack backtrace"),
        "{said}"
    );
    let problems = said.lines().filter(|line| !line.contains("see above"));
    ensure!(problems.count() == 1, "not one message:\n{said}");
    Ok(())
}

/// No pins and no socket of the node.
fn expect_no_traces(rig: &Rig) -> Result<()> {
    let pins = rig.pins();
    let node = pins.parent().context("no directory")?;
    ensure!(
        !node.exists(),
        "{} has {:?}",
        node.display(),
        kernel::pins(&pins)
    );
    let socket = rig.node.socket();
    ensure!(!socket.exists(), "{} is there", socket.display());
    Ok(())
}

/// `dglb run` as another user, within the node's namespace, which only root may enter.
fn run_as(rig: &Rig, config: &Path, user: u32) -> Result<Attempt> {
    let host = rig.node.host();
    // A copy, for the directory of the build may be closed to others.
    let copy = host.directory().join("dglb");
    if !copy.exists() {
        // By another process: while this one had the copy open for writing, a fork of another test's
        // thread would too, and the kernel runs no file that is open for writing.
        let copied = Command::new("cp").arg(dglb_binary()?).arg(&copy).status()?;
        ensure!(copied.success(), "cp: {copied}");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new(copy);
    command.arg("run").arg("--config").arg(config);
    command.uid(user).gid(user).current_dir(host.directory());
    host.namespace().enter(|| attempt::to_end(command, host))?
}

//! Debian's package manager: what it knows, and installing without starting services.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};

use crate::{process, rights::Rights};

/// Package lists older than this name versions that the servers may no longer have.
const LISTS_ARE_OLD: Duration = Duration::from_secs(24 * 3600);

/// What apt says of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// The installed version.
    pub installed: Option<String>,
    /// The version that would be installed.
    pub candidate: Option<String>,
}

/// The packages apt was asked about; one that it does not know is absent.
pub type Packages = BTreeMap<String, Package>;

/// The state of the package lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Fetched by this very run: what they do not have, the servers do not have.
    JustFetched,
    /// There, and not older than a day.
    Recent,
    /// There, but older than a day.
    Old,
    /// Never fetched, or deleted (as in container images).
    Missing,
}

/// Asks apt about packages.
pub fn ask(names: &[&str]) -> Packages {
    let mut arguments = vec!["policy"];
    arguments.extend(names);
    process::output("apt-cache", &arguments)
        .map(|text| parse_policy(&text))
        .unwrap_or_default()
}

/// Looks at the age of the package lists. The files themselves carry the server's dates; the
/// directory that apt downloads into carries ours.
pub fn lists() -> Lists {
    const DIRECTORY: &str = "/var/lib/apt/lists";
    let holds_packages = fs::read_dir(DIRECTORY).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    });
    if !holds_packages {
        return Lists::Missing;
    }
    let changed = |path: &Path| {
        path.metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let newest = [
        DIRECTORY,
        "/var/lib/apt/lists/partial",
        "/var/lib/apt/periodic/update-success-stamp",
    ]
    .iter()
    .filter_map(|path| changed(Path::new(path)))
    .max();
    let age = newest.and_then(|newest| SystemTime::now().duration_since(newest).ok());
    if age.is_some_and(|age| age > LISTS_ARE_OLD) {
        Lists::Old
    } else {
        Lists::Recent
    }
}

/// The words of `apt-get update`.
pub const UPDATE: [&str; 4] = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "update"];

/// Fetches the package lists.
///
/// # Errors
/// No rights, or apt fails.
pub fn update() -> Result<()> {
    let mut command = Rights::find().command(UPDATE[0], "apt-get update")?;
    command.args(&UPDATE[1..]);
    process::run_aside(&mut command)
        .context("the package lists could not be fetched: is the network there?")
}

/// The words of the installation. `--no-remove`: nothing that somebody installed has to go.
pub fn install_words<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec![
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=300",
        // No progress bars in logs.
        "-o",
        "Dpkg::Use-Pty=0",
        "install",
        "--yes",
        "--no-install-recommends",
        "--no-remove",
    ];
    words.extend(packages);
    words
}

/// Installs packages; `services` (systemd units) are neither started now nor at the next boot.
///
/// # Errors
/// No rights, or apt fails.
pub fn install(packages: &[&str], services: &[&str]) -> Result<()> {
    let mut command = Rights::find().command("sh", "installing packages")?;
    command.args(["-c", INSTALL_QUIETLY, "sh", &services.join(" ")]);
    command.args(install_words(packages));
    process::run_aside(command.stdin(Stdio::null()))
        .with_context(|| format!("the packages {} could not be installed", packages.join(" ")))
}

/// `$1` is the units, the rest the command to run. `policy-rc.d` is Debian's means to keep the
/// installation from starting services (status 101 says "not allowed"). One that was there is put
/// back, also after Ctrl-C; after a crash that left ours in place, the next run puts it back.
/// Disabling goes by Debian's own helper where it can, which does it for every init system, also
/// for one that is not running.
const INSTALL_QUIETLY: &str = r#"
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
services=$1
shift
policy=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.saved-by-dglb-setup
mark='# Put here by the set-up of DGLB while it installs packages.'
if [ -e "$policy" ] || [ -L "$policy" ]; then
    grep -qxF "$mark" "$policy" 2>/dev/null || mv "$policy" "$saved"
fi
restore() {
    rm -f "$policy"
    if [ -e "$saved" ] || [ -L "$saved" ]; then mv "$saved" "$policy"; fi
}
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"
DEBIAN_FRONTEND=noninteractive "$@"
for service in $services; do
    script=${service%.service}
    if [ -e "/etc/init.d/$script" ]; then
        update-rc.d "$script" disable
    elif command -v systemctl >/dev/null; then
        systemctl --quiet disable "$service"
    fi || echo "warning: $service may start at the next boot" >&2
done
"#;

/// Reads the output of `apt-cache policy` in the C locale.
fn parse_policy(text: &str) -> Packages {
    let mut packages = Packages::new();
    let mut name = None;
    for line in text.lines() {
        if !line.starts_with(' ') {
            name = line.strip_suffix(':');
        } else if let (Some(name), Some((key, value))) = (name, line.trim().split_once(": ")) {
            let version = Some(value.trim()).filter(|version| *version != "(none)");
            let package = packages.entry(name.to_owned()).or_default();
            match key {
                "Installed" => package.installed = version.map(str::to_owned),
                "Candidate" => package.candidate = version.map(str::to_owned),
                _ => {}
            }
        }
    }
    packages
}

/// Whether the package manager is there at all.
pub fn is_there() -> bool {
    Command::new("apt-get")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
rustc-web:
  Installed: (none)
  Candidate: 1.96.0+dfsg1-1~deb12u2
  Version table:
     1.96.0+dfsg1-1~deb12u2 500
        500 http://mirror.example/debian-security bookworm-security/main amd64 Packages
rustc:
  Installed: 1.63.0+dfsg1-2
  Candidate: 1.63.0+dfsg1-2
rustup:
  Installed: (none)
  Candidate: (none)
";

    #[test]
    fn reads_what_apt_says() {
        let packages = parse_policy(POLICY);
        assert_eq!(packages.len(), 3);
        assert_eq!(packages["rustc-web"].installed, None);
        assert_eq!(
            packages["rustc-web"].candidate.as_deref(),
            Some("1.96.0+dfsg1-1~deb12u2")
        );
        assert_eq!(
            packages["rustc"].installed.as_deref(),
            Some("1.63.0+dfsg1-2")
        );
        assert_eq!(packages["rustup"], Package::default());
    }

    #[test]
    fn what_apt_does_not_know_is_absent() {
        assert!(parse_policy("").is_empty());
        assert!(parse_policy("N: Unable to locate package nonsense\n").is_empty());
        assert!(parse_policy("  Installed: 1.0\n  Candidate: 1.0\n").is_empty());
    }

    #[test]
    fn installing_never_removes_and_never_asks() {
        let words = install_words(&["nsd"]);
        assert!(words.contains(&"--no-remove"));
        assert!(words.contains(&"--yes"));
        assert_eq!(words.last(), Some(&"nsd"));
    }

    /// The script in a directory of its own instead of /usr/sbin, with `command` for apt.
    fn run_script(directory: &Path, command: &str) -> bool {
        let script = INSTALL_QUIETLY.replace("/usr/sbin", &directory.to_string_lossy());
        Command::new("sh")
            .args(["-c", &script, "sh", "", "sh", "-c", command])
            .current_dir(directory)
            .status()
            .unwrap()
            .success()
    }

    fn directory(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        directory
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn services_are_held_back_only_while_installing() {
        let directory = directory("held-back");
        assert!(run_script(&directory, "./policy-rc.d; test $? = 101"));
        assert!(names(&directory).is_empty());
        assert!(
            !run_script(&directory, "./policy-rc.d; exit 7"),
            "apt's failure is ours"
        );
        assert!(names(&directory).is_empty());
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_policy_that_was_there_comes_back() {
        let directory = directory("policy");
        let policy = directory.join("policy-rc.d");
        fs::write(&policy, "#!/bin/sh\nexit 0\n").unwrap();
        for command in [
            "./policy-rc.d; test $? = 101",
            "exit 7",
            "kill -TERM $PPID; sleep 0",
        ] {
            run_script(&directory, command);
            assert_eq!(
                fs::read_to_string(&policy).unwrap(),
                "#!/bin/sh\nexit 0\n",
                "{command}"
            );
            assert_eq!(names(&directory), ["policy-rc.d"], "{command}");
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_crash_in_between_is_mended_by_the_next_run() {
        let directory = directory("crash");
        let policy = directory.join("policy-rc.d");
        fs::write(&policy, "theirs").unwrap();
        assert!(!run_script(&directory, "kill -KILL $PPID"));
        assert_eq!(
            names(&directory),
            ["policy-rc.d", "policy-rc.d.saved-by-dglb-setup"]
        );
        assert!(run_script(&directory, "./policy-rc.d; test $? = 101"));
        assert_eq!(fs::read_to_string(&policy).unwrap(), "theirs");
        assert_eq!(names(&directory), ["policy-rc.d"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}

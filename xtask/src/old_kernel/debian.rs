//! Debian's kernels: found by what apt knows today, downloaded and unpacked, never installed.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail};

use crate::{process, setup::apt, workspace::Workspace};

/// The first two numbers of a kernel's version, as in 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `parse` alone would take "+6".
        let number = |text: &str| {
            let digits = text.bytes().all(|octet| octet.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        };
        text.split_once('.')
            .and_then(|(major, minor)| {
                Some(Self {
                    major: number(major)?,
                    minor: number(minor)?,
                })
            })
            .ok_or("not the first two numbers of a kernel's version, as in 6.1")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A kernel on this disk.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The image to boot.
    pub image: PathBuf,
    /// The directory of its modules.
    pub modules: PathBuf,
}

/// The newest of Debian's kernels of `version`, in the variant for virtual machines (the code is the
/// same, with fewer drivers). What was unpacked before is taken again.
///
/// # Errors
/// There is none, or it cannot be downloaded.
pub fn fetch(workspace: &Workspace, version: Version) -> Result<Kernel> {
    if !apt::is_there() {
        bail!("Debian's kernels are downloaded by apt-get, which is not on this system");
    }
    let package = match newest(version) {
        Some(package) => package,
        None => {
            apt::update()?;
            newest(version).with_context(|| {
                format!(
                    "no package source of this system has a Debian kernel {version} \
                     (linux-image-{version}.…{VARIANT}). Debian 12 has 6.1 in main and in \
                     bookworm-security: look into /etc/apt/sources.list and \
                     /etc/apt/sources.list.d/"
                )
            })?
        }
    };
    let asked = apt::ask(&[&package]);
    let candidate = asked
        .get(&package)
        .and_then(|asked| asked.candidate.as_deref())
        .with_context(|| format!("apt-cache does not know which {package} is the newest"))?;
    let directory = workspace.target.join("kernels").join(version.to_string());
    let unpacked = directory.join(format!("{package}_{}", candidate.replace(':', "-")));
    if !unpacked.is_dir() {
        eprintln!("==> downloading {package} {candidate} (it is not installed)");
        download(&directory, &unpacked, &package, candidate)
            .with_context(|| format!("cannot get {package} {candidate}"))?;
    }
    Kernel::in_directory(&unpacked)
}

const VARIANT: &str = "-cloud-amd64";

fn newest(version: Version) -> Option<String> {
    let Version { major, minor } = version;
    let pattern = format!("^linux-image-{major}[.]{minor}[.].*{VARIANT}$");
    let found = process::output("apt-cache", &["search", "--names-only", &pattern])?;
    newest_of(&found, version)
}

/// The newest in the output of `apt-cache search`: `linux-image-6.1.0-56-cloud-amd64 - Linux 6.1 …`.
fn newest_of(found: &str, version: Version) -> Option<String> {
    let begin = format!("linux-image-{version}.");
    found
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with(&begin) && name.ends_with(VARIANT))
        .max_by_key(|name| numbers(name))
        .map(str::to_owned)
}

/// The numbers in a name, so that 10 comes after 9.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Downloads and unpacks; `unpacked` is there in the end, or nothing is.
fn download(directory: &Path, unpacked: &Path, package: &str, candidate: &str) -> Result<()> {
    // What was unpacked before of this version is older, and of no use any more.
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    let working = directory.join("working");
    fs::create_dir_all(&working).with_context(|| format!("cannot create {}", working.display()))?;
    // As root, apt would download as a user who may not write here, and warn.
    process::run_aside(
        Command::new("apt-get")
            .args(["-o", "APT::Sandbox::User=root", "--quiet=2", "download"])
            .arg(format!("{package}={candidate}"))
            .current_dir(&working),
    )?;
    let archive = only_file(&working, "linux-image-")?;
    let root = working.join("root");
    process::run_aside(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&root))?;
    fs::rename(&root, unpacked)
        .with_context(|| format!("cannot move it to {}", unpacked.display()))?;
    fs::remove_dir_all(&working).with_context(|| format!("cannot remove {}", working.display()))
}

impl Kernel {
    fn in_directory(directory: &Path) -> Result<Self> {
        let image = only_file(&directory.join("boot"), "vmlinuz-")?;
        let modules = ["lib/modules", "usr/lib/modules"]
            .map(|modules| directory.join(modules))
            .into_iter()
            .find(|modules| modules.is_dir())
            .with_context(|| format!("there are no modules in {}", directory.display()))?;
        Ok(Self {
            image,
            modules: only_file(&modules, "")?,
        })
    }

    /// The content of a module; Debian compresses those of newer kernels.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn module(&self, path: &str) -> Result<Vec<u8>> {
        let plain = self.modules.join("kernel").join(path);
        let compressed = plain.with_added_extension("xz");
        if !compressed.is_file() {
            return fs::read(&plain)
                .with_context(|| format!("cannot read the module {}", plain.display()));
        }
        let output = Command::new("xz")
            .args(["--decompress", "--stdout"])
            .arg(&compressed)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start xz, which unpacks the kernel's modules")?;
        if !output.status.success() {
            bail!("xz cannot unpack {}", compressed.display());
        }
        Ok(output.stdout)
    }
}

/// The only entry whose name begins so.
fn only_file(directory: &Path, begin: &str) -> Result<PathBuf> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(begin))
        .map(|entry| entry.path())
        .collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        _ => bail!("{}: not one {begin}… is in there", directory.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Version = Version { major: 6, minor: 1 };

    #[test]
    fn a_version_is_two_numbers() {
        assert_eq!("6.1".parse(), Ok(OLD));
        assert_eq!("6.12".parse::<Version>().unwrap().to_string(), "6.12");
        for text in [
            "", "6", "6.", ".1", "6.1.0", "6.x", "six.one", "-6.1", "+6.1", "6.1 ", "6.*",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_newest_is_taken_by_number() {
        let found = "\
linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-56-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-47-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
";
        assert_eq!(
            newest_of(found, OLD).as_deref(),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        let later = "\
linux-image-6.12.100+deb12-cloud-amd64 - x
linux-image-6.12.99+deb12-cloud-amd64 - x
";
        assert_eq!(
            newest_of(later, "6.12".parse().unwrap()).as_deref(),
            Some("linux-image-6.12.100+deb12-cloud-amd64")
        );
    }

    #[test]
    fn other_versions_and_variants_are_no_choice() {
        for other in [
            "",
            "linux-image-6.12.100+deb12-cloud-amd64 - x",
            "linux-image-6.1-cloud-amd64 - a package that only depends on others",
            "linux-image-6.1.0-56-amd64 - x",
            "linux-image-6.1.0-56-cloud-amd64-dbg - x",
            "linux-image-6.1.0-56-cloud-amd64-unsigned - x",
            "linux-headers-6.1.0-56-cloud-amd64 - x",
        ] {
            assert_eq!(newest_of(other, OLD), None, "{other}");
        }
    }

    #[test]
    fn an_unpacked_package_without_a_kernel_is_refused() {
        let directory = std::env::temp_dir().join(format!("xtask-kernel-{}", std::process::id()));
        let modules = directory.join("lib/modules/6.1.0/kernel/drivers");
        fs::create_dir_all(&modules).unwrap();
        let error = Kernel::in_directory(&directory).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "), "{error}");
        fs::create_dir(directory.join("boot")).unwrap();
        let error = Kernel::in_directory(&directory).unwrap_err();
        assert!(error.to_string().contains("not one vmlinuz-"), "{error}");
        fs::write(directory.join("boot/vmlinuz-6.1.0"), "").unwrap();
        let kernel = Kernel::in_directory(&directory).unwrap();
        assert_eq!(kernel.modules, directory.join("lib/modules/6.1.0"));
        let error = kernel.module("drivers/veth.ko").unwrap_err();
        assert!(error.to_string().contains("drivers/veth.ko"), "{error}");
        fs::write(modules.join("veth.ko"), "a module").unwrap();
        assert_eq!(kernel.module("drivers/veth.ko").unwrap(), b"a module");
        fs::write(modules.join("veth.ko.xz"), "not by xz").unwrap();
        assert!(kernel.module("drivers/veth.ko").is_err());
        fs::write(directory.join("boot/vmlinuz-6.1.1"), "").unwrap();
        assert!(Kernel::in_directory(&directory).is_err(), "two kernels");
        fs::remove_dir_all(&directory).unwrap();
    }
}

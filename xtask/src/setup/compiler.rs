//! Compilers that could build the kernel program: they need the sources of Rust's `core`, because
//! nobody ships it compiled for BPF.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use crate::process;

/// A Rust release number.
pub type Release = (u32, u32, u32);

/// What `rustc -vV` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RustcVersion {
    /// `1.95.0` of `release: 1.95.0-nightly`.
    pub release: Release,
    /// Whether the release name says nightly, or dev.
    pub unstable: bool,
    /// 22 of `LLVM version: 22.1.2`.
    pub llvm: u32,
}

/// A compiler that has the sources of `core`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// What a person calls it.
    pub name: String,
    /// The program itself, not rustup's stand-in for it.
    pub rustc: PathBuf,
    /// Cargo of the same toolchain, where there is one.
    pub cargo: Option<PathBuf>,
    /// What it says of itself.
    pub version: RustcVersion,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version.release;
        write!(
            f,
            "{} {major}.{minor}.{patch} (LLVM {}) at {}",
            self.name,
            self.version.llvm,
            self.rustc.display()
        )
    }
}

/// Reads the output of `rustc -vV`; `None` if it is none (a compiler without LLVM included).
pub fn parse_verbose_version(text: &str) -> Option<RustcVersion> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::trim)
    };
    let release = field("release")?;
    Some(RustcVersion {
        release: parse_release(release)?,
        unstable: release.contains("-nightly") || release.contains("-dev"),
        llvm: field("LLVM version")?.split('.').next()?.parse().ok()?,
    })
}

/// Reads `1.95`, `1.95.0`, `1.97.0-nightly`, `1.96.0+dfsg1-1~deb12u2`.
pub fn parse_release(text: &str) -> Option<Release> {
    let numbers = text.split(['-', '+', '~']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    let release = (
        parts.next()??,
        parts.next()??,
        parts.next().unwrap_or(Some(0))?,
    );
    parts.next().is_none().then_some(release)
}

/// Compilers with sources, the preferred first: rustup's stable ones, then rustup's nightly ones,
/// then what the system has; and, for people, why others do not count.
pub fn find_all() -> (Vec<Compiler>, Vec<String>) {
    let mut found = Vec::new();
    let mut passed_over = Vec::new();
    for directory in rustup_toolchains() {
        let name = format!(
            "rustup's {}",
            directory.file_name().unwrap_or_default().display()
        );
        match inspect(name, &directory.join("bin/rustc"), &directory) {
            Ok(compiler) => found.push(compiler),
            Err(reason) => passed_over.push(reason),
        }
    }
    found.sort_by_key(|compiler| compiler.version.unstable);
    // Debian's, named in full, because rustup's stand-ins usually come first in PATH.
    let system = Path::new("/usr/bin/rustc");
    if process::is_executable(system) {
        let sysroot = process::output(system, &["--print", "sysroot"]).unwrap_or_default();
        match inspect(
            "the system's rustc".into(),
            system,
            Path::new(sysroot.trim()),
        ) {
            Ok(compiler) => found.push(compiler),
            Err(reason) => passed_over.push(reason),
        }
    }
    (found, passed_over)
}

fn inspect(name: String, rustc: &Path, sysroot: &Path) -> Result<Compiler, String> {
    if !sysroot
        .join("lib/rustlib/src/rust/library/core/Cargo.toml")
        .is_file()
    {
        return Err(format!("{name}: without library sources (rust-src)"));
    }
    let version = process::output(rustc, &["-vV"])
        .and_then(|text| parse_verbose_version(&text))
        .ok_or_else(|| format!("{name}: {} -vV does not answer", rustc.display()))?;
    let cargo = Some(sysroot.join("bin/cargo")).filter(|cargo| process::is_executable(cargo));
    Ok(Compiler {
        name,
        rustc: rustc.to_path_buf(),
        cargo,
        version,
    })
}

/// The directories of rustup's installed toolchains, in alphabetical order; links (names for the
/// same toolchain, or for one that somebody built) are followed once.
fn rustup_toolchains() -> Vec<PathBuf> {
    let home = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")));
    let Some(entries) = home.and_then(|home| fs::read_dir(home.join("toolchains")).ok()) else {
        return Vec::new();
    };
    let mut directories: Vec<_> = entries
        .filter_map(|entry| fs::canonicalize(entry.ok()?.path()).ok())
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: &str = "\
rustc 1.95.0 (59807616e 2026-04-14)
binary: rustc
commit-hash: 59807616e1fa2540724bfbac14d7976d7e4a3860
commit-date: 2026-04-14
host: x86_64-unknown-linux-gnu
release: 1.95.0
LLVM version: 22.1.2
";

    #[test]
    fn reads_stable_and_nightly() {
        assert_eq!(
            parse_verbose_version(STABLE),
            Some(RustcVersion {
                release: (1, 95, 0),
                unstable: false,
                llvm: 22
            })
        );
        let nightly = STABLE.replace("release: 1.95.0", "release: 1.97.0-nightly");
        assert_eq!(
            parse_verbose_version(&nightly),
            Some(RustcVersion {
                release: (1, 97, 0),
                unstable: true,
                llvm: 22
            })
        );
    }

    #[test]
    fn what_is_no_answer_of_rustc_is_not_read() {
        for text in [
            "",
            "rustc 1.95.0 (59807616e 2026-04-14)\n",
            &STABLE.replace("LLVM version: 22.1.2\n", ""),
            &STABLE.replace("LLVM version: 22.1.2", "LLVM version: unknown"),
            &STABLE.replace("release: 1.95.0", "release: latest"),
            &STABLE.replace("release: 1.95.0", "release: "),
            &STABLE.replace("release: ", "release "),
        ] {
            assert_eq!(parse_verbose_version(text), None, "{text}");
        }
    }

    #[test]
    fn reads_release_numbers_of_toolchains_and_packages() {
        assert_eq!(parse_release("1.95"), Some((1, 95, 0)));
        assert_eq!(parse_release("1.96.0+dfsg1-1~deb12u2"), Some((1, 96, 0)));
        assert_eq!(parse_release("1.97.0-nightly"), Some((1, 97, 0)));
        for text in [
            "", "1", "1.", "1.95.x", "1.95.0.1", "v1.95", "(none)", "-1.95",
        ] {
            assert_eq!(parse_release(text), None, "{text}");
        }
    }

    #[test]
    fn a_toolchain_without_sources_is_passed_over_with_the_reason() {
        let reason = inspect(
            "rustup's x".into(),
            Path::new("/bin/true"),
            Path::new("/nowhere"),
        );
        assert_eq!(
            reason,
            Err("rustup's x: without library sources (rust-src)".into())
        );
    }
}

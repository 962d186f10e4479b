//! bpf-linker: links what the compiler left (LLVM bitcode) into a BPF object with type
//! information. Its LLVM must be as new as the compiler's, or it cannot read the bitcode.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::needs::LLVM_CONFIG;
use crate::{process, workspace};

/// The version that we build.
pub const VERSION: &str = "0.13.0";
/// The LLVM that we build it with. Older ones also lack `allows-misaligned-mem-access`, which the
/// kernel program is built with.
pub const LLVM: u32 = 22;

/// A linker that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linker {
    /// The program.
    pub path: PathBuf,
    /// The major version of its LLVM.
    pub llvm: u32,
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bpf-linker (LLVM {}) at {}",
            self.llvm,
            self.path.display()
        )
    }
}

/// Linkers that run, the preferred first: the one in PATH, then the one that setup built; and, for
/// people, why others do not count.
pub fn find_all() -> Result<(Vec<Linker>, Vec<String>)> {
    let mut found = Vec::new();
    let mut passed_over = Vec::new();
    if let Some(path) = process::find("bpf-linker") {
        match process::output("ldd", &[&path.to_string_lossy()]).and_then(|text| llvm_of_ldd(&text))
        {
            Some(llvm) => found.push(Linker { path, llvm }),
            None => passed_over.push(format!(
                "{}: does not show which LLVM it has, so it may not read what the compiler writes",
                path.display()
            )),
        }
    }
    let ours = root()?.join("bin/bpf-linker");
    if process::is_executable(&ours) {
        if process::output(&ours, &["--version"]).is_some() {
            found.push(Linker {
                path: ours,
                llvm: LLVM,
            });
        } else {
            passed_over.push(format!("{}: does not run any more", ours.display()));
        }
    }
    Ok((found, passed_over))
}

/// Where ours is kept; the name holds all that a rebuild depends on.
pub fn root() -> Result<PathBuf> {
    Ok(workspace::tools_dir()?.join(format!("bpf-linker-{VERSION}-llvm-{LLVM}")))
}

/// Builds ours, as the user who runs us.
///
/// # Errors
/// LLVM's library or the crate is not there, or the build fails.
pub fn build() -> Result<()> {
    let root = root()?;
    let prefix =
        llvm_prefix().with_context(|| format!("{LLVM_CONFIG} --prefix does not answer"))?;
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    process::run_aside(&mut install(&root, &prefix)).context("bpf-linker could not be built")
}

/// The command that builds ours.
pub fn install(root: &Path, llvm_prefix: &str) -> Command {
    let mut cargo = process::cargo();
    cargo
        .args(["install", "--root"])
        .arg(root)
        // --force: it is only built when it is missing or does not run.
        .args(["--force", "--locked", "bpf-linker", "--version", VERSION])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{LLVM}"),
        ])
        .env("LLVM_PREFIX", llvm_prefix)
        // Keeps cargo from advising to put it into PATH, where it is not needed.
        .env("PATH", path_with(root.join("bin")))
        // A directory outside the workspace, and cargo's own temporary target directory: neither
        // the workspace's settings nor its target directory have a part in this.
        .env_remove("CARGO_TARGET_DIR")
        .current_dir("/");
    cargo
}

fn path_with(directory: PathBuf) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain([directory]);
    env::join_paths(directories).unwrap_or_else(|_| path.clone())
}

/// Where the LLVM that we build with is installed.
pub fn llvm_prefix() -> Option<String> {
    let plain = process::output("llvm-config", &["--version"])
        .filter(|version| major(version) == Some(LLVM))
        .and_then(|_| process::output("llvm-config", &["--prefix"]));
    let prefix = process::output(LLVM_CONFIG, &["--prefix"])
        .or(plain)?
        .trim()
        .to_owned();
    // The library without its version in the name comes with the development package alone.
    ["lib", "lib64"]
        .iter()
        .any(|lib| Path::new(&prefix).join(lib).join("libLLVM.so").exists())
        .then_some(prefix)
}

/// The LLVM that a program is linked with, from what `ldd` prints:
/// `libLLVM.so.22.1 => /usr/lib/…`, before LLVM 18 `libLLVM-17.so.1 => …`.
fn llvm_of_ldd(text: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let (library, place) = line.trim().split_once(" => ")?;
        if place.starts_with("not found") {
            return None;
        }
        let version = library
            .strip_prefix("libLLVM.so.")
            .or_else(|| library.strip_prefix("libLLVM-"))?;
        major(version)
    })
}

fn major(version: &str) -> Option<u32> {
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn the_llvm_of_a_linker_is_read_from_its_libraries() {
        let line = "\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x00007f627d400000)";
        assert_eq!(llvm_of_ldd(line), Some(22));
        assert_eq!(
            llvm_of_ldd("libLLVM-17.so.1 => /usr/lib/libLLVM-17.so.1 (0x0)"),
            Some(17)
        );
        assert_eq!(
            llvm_of_ldd("libLLVM-22-rust-1.95.0-stable.so => /x (0x0)"),
            Some(22)
        );
    }

    #[test]
    fn a_linker_that_does_not_show_its_llvm_has_none() {
        for text in [
            "",
            "\tstatically linked",
            "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f627d21e000)",
            "\tlibLLVM.so.22.1 => not found",
            "\tlibLLVM.so => /usr/lib/libLLVM.so (0x0)",
            "\tlibLLVM.so.x => /usr/lib/libLLVM.so.x (0x0)",
            "\tlibLLVMSupport.so.22 => /usr/lib/x (0x0)",
        ] {
            assert_eq!(llvm_of_ldd(text), None, "{text}");
        }
    }

    #[test]
    fn ours_is_built_apart_from_the_users_own_programs() {
        let command = install(Path::new("/cache/x"), "/usr/lib/llvm-22");
        let words: Vec<_> = command.get_args().collect();
        let root = words.iter().position(|word| *word == "--root").unwrap();
        assert_eq!(words[root + 1], "/cache/x");
        assert!(words.contains(&OsStr::new("--locked")));
        assert!(words.contains(&OsStr::new("llvm-22")));
        assert!(!words.contains(&OsStr::new("sudo")));
    }
}

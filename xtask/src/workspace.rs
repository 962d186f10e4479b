//! Where things stand: the workspace, its target directory, the cache of built tools.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The directories of this clone.
pub struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target directory: `CARGO_TARGET_DIR` if set, else `target/`. `dglb-user/build.rs`
    /// looks for the kernel program by the same rule.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this xtask was built from.
    pub fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask does not stand in a workspace")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => root.join(dir),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The target directory of the kernel programs: one of its own, as another compiler with other
    /// flags works there and would fight the host build.
    pub fn kernel_target(&self) -> PathBuf {
        self.target.join("ebpf")
    }

    /// Where the built kernel programs are laid down for user space, one file a program.
    pub fn kernel_objects(&self) -> PathBuf {
        self.kernel_target().join("objects")
    }
}

/// Where tools that setup builds are kept: `$XDG_CACHE_HOME/dglb/tools`, by default
/// `~/.cache/dglb/tools`. Outside the clone, so that neither `cargo clean` nor a new clone builds
/// them again; outside `~/.cargo/bin`, so that nothing of the user's is replaced.
pub fn tools_dir() -> Result<PathBuf> {
    cache_home(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"))
        .map(|cache| cache.join("dglb/tools"))
        .context(
            "neither XDG_CACHE_HOME nor HOME holds an absolute path, so there is no place to keep \
             built tools: set HOME",
        )
}

/// The XDG base directory specification: a relative XDG_CACHE_HOME is to be ignored.
fn cache_home(xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    xdg_cache_home
        .and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|home| home.join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_home_follows_the_specification() {
        let cases = [
            (Some("/c"), Some("/h"), Some("/c")),
            (None, Some("/h"), Some("/h/.cache")),
            (Some(""), Some("/h"), Some("/h/.cache")),
            (Some("relative"), Some("/h"), Some("/h/.cache")),
            (Some("relative"), Some("also/relative"), None),
            (None, Some(""), None),
            (None, None, None),
        ];
        for (xdg, home, expected) in cases {
            assert_eq!(
                cache_home(xdg.map(Into::into), home.map(Into::into)),
                expected.map(PathBuf::from),
                "{xdg:?} {home:?}"
            );
        }
    }
}

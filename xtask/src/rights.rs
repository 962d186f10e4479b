//! Root's rights: who has them, and how a program gets them. Building never does.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Error, Result, bail};

use crate::process;

/// How root's rights can be had.
pub enum Rights {
    /// We run as root.
    Root,
    /// Through this sudo.
    Sudo(PathBuf),
    /// Not at all.
    None,
}

impl Rights {
    /// Looks at who we are and what is installed.
    pub fn find() -> Self {
        // The kernel gives /proc/self to our effective user.
        if fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0) {
            return Self::Root;
        }
        process::find("sudo").map_or(Self::None, Self::Sudo)
    }

    /// A command that runs `program` as root, with those of our environment variables that our
    /// programs read (sudo alone would drop them, or refuse to keep them).
    ///
    /// # Errors
    /// We are not root and there is no sudo; `what` says what could not be done.
    pub fn command(&self, program: impl AsRef<OsStr>, what: &str) -> Result<Command> {
        match self {
            Self::Root => Ok(Command::new(program)),
            Self::Sudo(sudo) => {
                let mut command = Command::new(sudo);
                command.args(["--", "env"]).args(kept_environment());
                command.arg(program);
                Ok(command)
            }
            Self::None => bail!(
                "{what} needs root's rights, but this is another user and sudo is not installed: \
                 run the same command as root, or install sudo"
            ),
        }
    }
}

/// Becomes this command; returns only if that fails.
pub fn become_command(command: &mut Command) -> Error {
    let error = command.exec();
    Error::new(error).context(format!("cannot start {}", process::shown(command)))
}

/// Asks for the password now, if one is needed, rather than in the middle of a run.
///
/// # Errors
/// sudo refuses.
pub fn ask_early(rights: &Rights, what: &str) -> Result<()> {
    if let Rights::Sudo(sudo) = rights {
        eprintln!("{what} needs root's rights: asking sudo");
        process::run(Command::new(sudo).arg("-v"))
            .with_context(|| format!("{what} needs root's rights, which sudo did not give"))?;
    }
    Ok(())
}

fn kept_environment() -> impl Iterator<Item = OsString> {
    env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(is_kept))
        .map(|(mut entry, value)| {
            entry.push("=");
            entry.push(value);
            entry
        })
}

fn is_kept(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "CI",
        "COLORTERM",
        "COLUMNS",
        "LANG",
        "LINES",
        "NO_COLOR",
        "PATH",
        "TERM",
    ];
    // Not all of CARGO_: a registry's token would show in the list of processes.
    const PREFIXES: [&str; 6] = [
        "CARGO_BIN_EXE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "DGLB_",
        "PROPTEST_",
        "RUST_",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_our_programs_read_and_nothing_that_changes_what_root_loads() {
        for name in [
            "DGLB_SKIP_IS_FAILURE",
            "RUST_LOG",
            "TERM",
            "PATH",
            "CARGO_MANIFEST_DIR",
        ] {
            assert!(is_kept(name), "{name}");
        }
        for name in [
            "CARGO_REGISTRY_TOKEN",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "HOME",
            "USER",
            "BASH_ENV",
            "PATHS",
            "dglb_x",
        ] {
            assert!(!is_kept(name), "{name}");
        }
    }

    #[test]
    fn without_root_and_sudo_the_error_says_what_to_do() {
        let error = Rights::None
            .command("true", "loading")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("loading needs root's rights"), "{error}");
        assert!(error.contains("install sudo"), "{error}");
    }

    #[test]
    fn sudo_is_given_the_program_after_the_environment() {
        let command = Rights::Sudo("/usr/bin/sudo".into())
            .command("dglb", "x")
            .unwrap();
        let words: Vec<_> = command.get_args().collect();
        assert_eq!(&words[..2], ["--", "env"]);
        assert_eq!(words.last(), Some(&OsStr::new("dglb")));
    }
}

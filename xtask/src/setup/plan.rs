//! From what was found to what is to be done. Pure: it asks nothing and changes nothing.

use std::fmt::Write as _;

use super::{
    apt::{self, Lists},
    compiler::{Compiler, Release, parse_release},
    found::Found,
    linker::{self, Linker},
    needs::{DEBIAN_COMPILER, DEBIAN_COMPILER_CONFLICTS, DEBIAN_LLVM, DEBIAN_SOURCES, LLVM_CONFIG},
    system::System,
};
use crate::{process, rights::Rights};

/// A compiler and a linker that can read what it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Compiles the kernel program, and nothing else.
    pub compiler: Compiler,
    /// Links it.
    pub linker: Linker,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fetch the package lists.
    UpdateLists {
        /// Why.
        why: &'static str,
    },
    /// Install packages: name, and why.
    Install(Vec<Wanted>),
    /// Build bpf-linker.
    BuildLinker,
}

/// A package to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What to look for on a system with other package names.
    pub thing: String,
    /// Debian's package.
    pub package: &'static str,
    /// Why.
    pub why: String,
    /// Its systemd units, to be kept from starting.
    pub services: &'static [&'static str],
}

/// What is to be done, and what stands in the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// If there is any, the steps would not lead to the end.
    pub problems: Vec<String>,
    /// The toolchain to build with, once it is complete.
    pub toolchain: Option<Toolchain>,
}

impl Plan {
    /// Decides.
    pub fn make(found: &Found) -> Self {
        let mut plan = Self {
            toolchain: choose(found),
            ..Self::default()
        };
        let mut wanted = Vec::new();
        if plan.toolchain.is_none() {
            wanted.extend(wanted_for_toolchain(found));
        }
        wanted.extend(found.missing.iter().map(|program| Wanted {
            thing: program.name.into(),
            package: program.package,
            why: program.purpose.into(),
            services: program.services,
        }));
        let builds_linker = plan.toolchain.is_none() && choose_linker(found).is_none();

        if !wanted.is_empty() {
            plan.problems = problems(found, &wanted);
            plan.steps.extend(update(found, &wanted));
            plan.steps.push(Step::Install(wanted));
        }
        if builds_linker {
            plan.steps.push(Step::BuildLinker);
        }
        plan
    }

    /// Whether everything is there.
    pub fn is_done(&self) -> bool {
        self.steps.is_empty() && self.problems.is_empty()
    }

    /// The problems, one a line.
    pub fn problems_told(&self) -> String {
        format!("setup cannot go on:\n{}", self.problems.join("\n"))
    }

    /// The steps, one a line.
    pub fn steps_told(&self) -> String {
        let told: Vec<_> = self
            .steps
            .iter()
            .map(|step| step.told(&Rights::find()))
            .collect();
        told.join("\n")
    }
}

impl Step {
    /// What will be done, and why.
    pub fn told(&self, rights: &Rights) -> String {
        let sudo = if matches!(rights, Rights::Root) {
            ""
        } else {
            "sudo "
        };
        match self {
            Self::UpdateLists { why } => {
                format!(
                    "fetch the package lists: {why}\n      {sudo}{}",
                    apt::UPDATE.join(" ")
                )
            }
            Self::Install(wanted) => {
                let mut text = String::from(
                    "install packages; their services are started neither now nor at boot:",
                );
                let width = wanted
                    .iter()
                    .map(|one| one.package.len())
                    .max()
                    .unwrap_or_default();
                for one in wanted {
                    let _ = write!(text, "\n      {:width$}  {}", one.package, one.why);
                }
                let words = apt::install_words(&packages(wanted)).join(" ");
                let _ = write!(text, "\n      {sudo}{words}");
                text
            }
            Self::BuildLinker => {
                let root = linker::root().unwrap_or_default();
                let command = linker::install(&root, &format!("$({LLVM_CONFIG} --prefix)"));
                format!(
                    "build bpf-linker {}, which links the kernel program, with LLVM {} (one to \
                     three minutes, as this user, kept outside the clone)\n      \
                     LLVM_PREFIX=$({LLVM_CONFIG} --prefix) {}",
                    linker::VERSION,
                    linker::LLVM,
                    process::shown(&command),
                )
            }
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn carry_out(&self) -> anyhow::Result<()> {
        match self {
            Self::UpdateLists { .. } => apt::update(),
            Self::Install(wanted) => {
                let services: Vec<_> = wanted
                    .iter()
                    .flat_map(|one| one.services)
                    .copied()
                    .collect();
                apt::install(&packages(wanted), &services)
            }
            Self::BuildLinker => linker::build(),
        }
    }
}

/// The toolchain that what was found amounts to.
pub fn choose(found: &Found) -> Option<Toolchain> {
    let compiler = choose_compiler(found)?;
    let linker = found
        .linkers
        .iter()
        .find(|linker| links(linker, Some(compiler)))?;
    Some(Toolchain {
        compiler: compiler.clone(),
        linker: linker.clone(),
    })
}

/// The first compiler that is new enough, and not newer than a linker that is there or that setup
/// can build.
fn choose_compiler(found: &Found) -> Option<&Compiler> {
    let newest_linker = found
        .linkers
        .iter()
        .map(|linker| linker.llvm)
        .max()
        .unwrap_or_default();
    found.compilers.iter().find(|compiler| {
        compiler.version.release >= oldest_release()
            && compiler.version.llvm <= newest_linker.max(linker::LLVM)
    })
}

fn choose_linker(found: &Found) -> Option<&Linker> {
    let compiler = choose_compiler(found);
    found.linkers.iter().find(|linker| links(linker, compiler))
}

fn links(linker: &Linker, compiler: Option<&Compiler>) -> bool {
    let written_by = compiler.map_or(linker::LLVM, |compiler| compiler.version.llvm);
    linker.llvm >= written_by.max(linker::LLVM)
}

/// The workspace's `rust-version`.
fn oldest_release() -> Release {
    parse_release(env!("CARGO_PKG_RUST_VERSION")).unwrap_or_default()
}

fn wanted_for_toolchain(found: &Found) -> Vec<Wanted> {
    let package = |thing: String, package, why: &str| Wanted {
        thing,
        package,
        why: why.into(),
        services: &[],
    };
    let mut wanted = Vec::new();
    if choose_compiler(found).is_none() {
        let (major, minor, _) = oldest_release();
        let thing = format!(
            "rustc {major}.{minor} or later with library sources, LLVM at most {}",
            linker::LLVM
        );
        wanted.push(package(
            thing,
            DEBIAN_COMPILER,
            "compiles the kernel program, and nothing else: no installed toolchain has rust-src",
        ));
        wanted.push(package(
            "rust-src".into(),
            DEBIAN_SOURCES,
            "the library sources for it: nobody ships Rust's core compiled for BPF",
        ));
    }
    if choose_linker(found).is_none() && !found.llvm {
        wanted.push(package(
            format!(
                "LLVM {}'s development files ({LLVM_CONFIG}, libLLVM.so)",
                linker::LLVM
            ),
            DEBIAN_LLVM,
            "bpf-linker is built on LLVM",
        ));
    }
    wanted
}

/// Whether the package lists have to be fetched before installing.
fn update(found: &Found, wanted: &[Wanted]) -> Option<Step> {
    let why = match found.lists {
        Lists::JustFetched => return None,
        Lists::Missing => "there are none yet",
        Lists::Old => "they are more than a day old, and may name files that are gone",
        Lists::Recent if wanted.iter().any(|one| unavailable(found, one).is_some()) => {
            "they do not have all that is needed"
        }
        Lists::Recent => return None,
    };
    Some(Step::UpdateLists { why })
}

fn problems(found: &Found, wanted: &[Wanted]) -> Vec<String> {
    if let System::Other(name) = &found.system {
        let mut text = format!(
            "  {name}: setup installs packages only on Debian 12 or later and Ubuntu. Please \
             install these, then run it again:"
        );
        for one in wanted {
            let _ = write!(text, "\n    {}: {}", one.thing, one.why);
        }
        if choose_compiler(found).is_none() {
            text += "\n  (`rustup component add rust-src` is the simplest way to the first two)";
        }
        return vec![text];
    }
    let mut problems = Vec::new();
    let wants_compiler = wanted.iter().any(|one| one.package == DEBIAN_COMPILER);
    if wants_compiler {
        problems.extend(DEBIAN_COMPILER_CONFLICTS.iter().filter_map(|name| {
            let version = found.packages.get(*name)?.installed.as_ref()?;
            Some(format!(
                "  the package {name} {version} is installed, and {DEBIAN_COMPILER} cannot stand \
                 beside it.\n    Either give a rustup toolchain its sources (`rustup component add \
                 rust-src`), or remove {name} yourself"
            ))
        }));
    }
    // Before the lists are fetched, nothing can be said about what they will offer.
    if found.lists == Lists::JustFetched {
        problems.extend(wanted.iter().filter_map(|one| unavailable(found, one)));
    }
    problems
}

/// Why a package cannot be had from this machine's package sources, if so.
fn unavailable(found: &Found, wanted: &Wanted) -> Option<String> {
    let package = wanted.package;
    let candidate = found
        .packages
        .get(package)
        .and_then(|package| package.candidate.as_ref());
    let Some(candidate) = candidate else {
        return Some(format!(
            "  {}: its package sources do not have {package} (for {}: {}).\n    Debian 12 has it \
             in main or in bookworm-security: look into /etc/apt/sources.list and \
             /etc/apt/sources.list.d/. Elsewhere install {} in another way",
            found.system.name(),
            wanted.thing,
            wanted.why,
            wanted.thing,
        ));
    };
    let (major, minor, _) = oldest_release();
    let too_old = [DEBIAN_COMPILER, DEBIAN_SOURCES].contains(&package)
        && parse_release(candidate).is_none_or(|release| release < oldest_release());
    too_old.then(|| {
        format!(
            "  {package} would be {candidate}; {major}.{minor} or later is needed.\n    Debian 12 \
             has it in bookworm-security: look into /etc/apt/sources.list and \
             /etc/apt/sources.list.d/. Or: rustup component add rust-src"
        )
    })
}

fn packages(wanted: &[Wanted]) -> Vec<&'static str> {
    wanted.iter().map(|one| one.package).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

//! What is on this machine. Looking changes nothing.

use std::{fmt, fs};

use anyhow::Result;

use super::{
    apt::{self, Lists, Packages},
    compiler::{self, Compiler},
    linker::{self, Linker},
    needs::{
        DEBIAN_COMPILER, DEBIAN_COMPILER_CONFLICTS, DEBIAN_LLVM, DEBIAN_SOURCES, Program, Scope,
    },
    system::System,
};
use crate::process;

/// A snapshot of the machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// The distribution.
    pub system: System,
    /// Compilers with library sources, the preferred first.
    pub compilers: Vec<Compiler>,
    /// Linkers that run, the preferred first.
    pub linkers: Vec<Linker>,
    /// Compilers and linkers that do not count, with the reason.
    pub passed_over: Vec<String>,
    /// Whether LLVM's library for building the linker is there.
    pub llvm: bool,
    /// Programs of the scope that are not there.
    pub missing: Vec<&'static Program>,
    /// The state of the package lists.
    pub lists: Lists,
    /// What apt says of the packages that we may want.
    pub packages: Packages,
}

impl Found {
    /// Looks around.
    ///
    /// # Errors
    /// There is no place where built tools could be.
    pub fn look(scope: Scope) -> Result<Self> {
        let (compilers, mut passed_over) = compiler::find_all();
        let (linkers, linkers_passed_over) = linker::find_all()?;
        passed_over.extend(linkers_passed_over);
        let os_release = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .unwrap_or_default();
        let mut system = System::from_os_release(&os_release);
        if matches!(system, System::Debian(_)) && !apt::is_there() {
            system = System::Other(format!("{} without apt-get", system.name()));
        }
        let missing = scope
            .programs()
            .filter(|program| process::find(program.name).is_none())
            .collect();
        let mut found = Self {
            system,
            compilers,
            linkers,
            passed_over,
            llvm: linker::llvm_prefix().is_some(),
            missing,
            lists: Lists::Recent,
            packages: Packages::new(),
        };
        found.ask_apt();
        Ok(found)
    }

    /// Asks apt, which takes a while, only when something may have to be installed.
    fn ask_apt(&mut self) {
        let complete = self.missing.is_empty() && super::plan::choose(self).is_some();
        if complete || matches!(self.system, System::Other(_)) {
            return;
        }
        let mut names = vec![DEBIAN_COMPILER, DEBIAN_SOURCES, DEBIAN_LLVM];
        names.extend(DEBIAN_COMPILER_CONFLICTS);
        names.extend(self.missing.iter().map(|program| program.package));
        self.lists = apt::lists();
        self.packages = apt::ask(&names);
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "system: {}", self.system.name())?;
        for compiler in &self.compilers {
            writeln!(f, "found: {compiler}, with library sources")?;
        }
        for linker in &self.linkers {
            writeln!(f, "found: {linker}")?;
        }
        for reason in &self.passed_over {
            writeln!(f, "not used: {reason}")?;
        }
        for program in &self.missing {
            writeln!(f, "missing: {} ({})", program.name, program.purpose)?;
        }
        Ok(())
    }
}

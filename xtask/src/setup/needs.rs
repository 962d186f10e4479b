//! What is needed, what for, and which Debian package brings it.

/// How much of the set-up a verb needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Building and loading: a compiler and a linker for the kernel program. A production machine
    /// gets no name servers installed for that.
    Build,
    /// Also the programs that demo, tests and benchmark use.
    Lab,
    /// For tests on another kernel: also the emulator that boots it. Large, and nothing else uses it.
    Emulator,
}

impl Scope {
    /// The programs of this scope.
    pub fn programs(self) -> impl Iterator<Item = &'static Program> {
        let (lab, emulator) = match self {
            Self::Build => (&[][..], None),
            Self::Lab => (&PROGRAMS[..], None),
            Self::Emulator => (&PROGRAMS[..], Some(&EMULATOR)),
        };
        lab.iter().chain(emulator)
    }
}

/// A program that must be there.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// The file to look for.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// The systemd units that the package would start at every boot.
    pub services: &'static [&'static str],
}

/// What [`Scope::Lab`] needs beyond the toolchain.
pub const PROGRAMS: [Program; 7] = [
    Program {
        name: "unbound",
        package: "unbound",
        purpose: "one of the demo's unchanged resolvers",
        services: &["unbound.service", "unbound-resolvconf.service"],
    },
    Program {
        name: "named",
        package: "bind9",
        purpose: "the other unchanged resolver, and the root and com servers",
        services: &["named.service", "named-resolvconf.service"],
    },
    Program {
        name: "nsd",
        package: "nsd",
        purpose: "the customer's own name server (DNS-A)",
        services: &["nsd.service"],
    },
    Program {
        name: "dig",
        package: "bind9-dnsutils",
        purpose: "asks questions in tests and demo",
        services: &[],
    },
    Program {
        name: "kdig",
        package: "knot-dnsutils",
        purpose: "a second opinion on our answers",
        services: &[],
    },
    Program {
        name: "ip",
        package: "iproute2",
        purpose: "makes network namespaces and links",
        services: &[],
    },
    Program {
        name: "bpftool",
        package: "bpftool",
        purpose: "shows the kernel's tables",
        services: &[],
    },
];

/// What [`Scope::Emulator`] needs beyond [`PROGRAMS`].
pub const EMULATOR: Program = Program {
    name: "qemu-system-x86_64",
    package: "qemu-system-x86",
    purpose: "emulates a machine that boots another kernel",
    services: &[],
};

/// Debian's Rust compiler that is kept recent (for Firefox and Chromium).
pub const DEBIAN_COMPILER: &str = "rustc-web";
/// The library sources that belong to [`DEBIAN_COMPILER`].
pub const DEBIAN_SOURCES: &str = "rust-web-src";
/// Debian's packages that cannot be installed together with [`DEBIAN_COMPILER`].
pub const DEBIAN_COMPILER_CONFLICTS: [&str; 2] = ["rustc", "rustup"];
/// LLVM's library in the form that bpf-linker is linked with; brings `llvm-config-22` along.
/// Nothing else is needed: bpf-linker is linked with the shared library, so neither a C++ compiler
/// nor the development files of zlib and zstd.
pub const DEBIAN_LLVM: &str = "llvm-22-dev";
/// The program that tells where LLVM's library is, by Debian's name.
pub const LLVM_CONFIG: &str = "llvm-config-22";

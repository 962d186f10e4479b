//! The decisions of the set-up, one situation a test.

use std::path::PathBuf;

use super::*;
use crate::setup::{
    apt::Package,
    compiler::RustcVersion,
    needs::{EMULATOR, PROGRAMS, Program, Scope},
};

/// A fresh Debian 12 with a stable Rust without sources.
fn fresh_debian() -> Found {
    let mut found = Found {
        system: System::Debian("Debian GNU/Linux 12 (bookworm)".into()),
        compilers: Vec::new(),
        linkers: Vec::new(),
        passed_over: Vec::new(),
        llvm: false,
        missing: PROGRAMS.iter().collect(),
        lists: Lists::JustFetched,
        packages: apt::Packages::new(),
    };
    offer(&mut found, DEBIAN_COMPILER, "1.96.0+dfsg1-1~deb12u2");
    offer(&mut found, DEBIAN_SOURCES, "1.96.0+dfsg1-1~deb12u2");
    offer(&mut found, DEBIAN_LLVM, "1:22.1.8-1~deb12u1");
    for program in &PROGRAMS {
        offer(&mut found, program.package, "1.0");
    }
    found
}

fn complete() -> Found {
    let mut found = fresh_debian();
    found
        .compilers
        .push(compiler("rustup's stable", (1, 95, 0), 22));
    found.linkers.push(linker("/cache/bpf-linker", 22));
    found.llvm = true;
    found.missing.clear();
    found
}

fn offer(found: &mut Found, package: &str, version: &str) {
    let state = Package {
        installed: None,
        candidate: Some(version.into()),
    };
    found.packages.insert(package.into(), state);
}

fn compiler(name: &str, release: Release, llvm: u32) -> Compiler {
    Compiler {
        name: name.into(),
        rustc: PathBuf::from("/toolchain/bin/rustc"),
        cargo: None,
        version: RustcVersion {
            release,
            unstable: false,
            llvm,
        },
    }
}

fn linker(path: &str, llvm: u32) -> Linker {
    Linker {
        path: path.into(),
        llvm,
    }
}

fn installed_by(plan: &Plan) -> Vec<&'static str> {
    plan.steps
        .iter()
        .flat_map(|step| match step {
            Step::Install(wanted) => packages(wanted),
            Step::UpdateLists { .. } | Step::BuildLinker => Vec::new(),
        })
        .collect()
}

fn builds_linker(plan: &Plan) -> bool {
    plan.steps.contains(&Step::BuildLinker)
}

fn only_problem(plan: &Plan) -> &str {
    match plan.problems.as_slice() {
        [problem] => problem,
        other => panic!("not one problem: {other:?}"),
    }
}

#[test]
fn where_everything_is_there_nothing_is_done() {
    let plan = Plan::make(&complete());
    assert!(plan.is_done());
    assert_eq!(plan.toolchain.unwrap().compiler.name, "rustup's stable");
}

#[test]
fn a_fresh_debian_gets_packages_first_and_then_the_linker() {
    let plan = Plan::make(&fresh_debian());
    let mut expected = vec![DEBIAN_COMPILER, DEBIAN_SOURCES, DEBIAN_LLVM];
    expected.extend(PROGRAMS.iter().map(|program| program.package));
    assert_eq!(installed_by(&plan), expected);
    assert_eq!(plan.steps.last(), Some(&Step::BuildLinker));
    assert_eq!(plan.problems, Vec::<String>::new());
    assert_eq!(plan.toolchain, None);
}

#[test]
fn a_toolchain_with_sources_needs_no_compiler_of_debian() {
    let mut found = fresh_debian();
    found
        .compilers
        .push(compiler("rustup's stable", (1, 95, 0), 22));
    let plan = Plan::make(&found);
    assert!(!installed_by(&plan).contains(&DEBIAN_COMPILER));
    assert!(installed_by(&plan).contains(&DEBIAN_LLVM));
    assert!(builds_linker(&plan));
}

#[test]
fn a_compiler_newer_than_any_linker_is_passed_by() {
    let mut found = complete();
    found
        .compilers
        .insert(0, compiler("rustup's nightly", (1, 99, 0), 23));
    assert_eq!(choose(&found).unwrap().compiler.name, "rustup's stable");
    found.compilers.pop();
    let plan = Plan::make(&found);
    assert!(plan.toolchain.is_none());
    assert_eq!(installed_by(&plan), [DEBIAN_COMPILER, DEBIAN_SOURCES]);
    assert!(
        !builds_linker(&plan),
        "the linker that is there reads LLVM 22"
    );
}

#[test]
fn a_linker_of_the_users_that_is_newer_opens_the_way_for_a_newer_compiler() {
    let mut found = complete();
    found
        .compilers
        .insert(0, compiler("rustup's nightly", (1, 99, 0), 23));
    found
        .linkers
        .insert(0, linker("/home/u/.cargo/bin/bpf-linker", 23));
    let toolchain = choose(&found).unwrap();
    assert_eq!(toolchain.compiler.name, "rustup's nightly");
    assert_eq!(toolchain.linker.llvm, 23);
}

#[test]
fn a_linker_that_is_too_old_is_not_taken() {
    let mut found = complete();
    found.linkers = vec![linker("/usr/bin/bpf-linker", 21)];
    let plan = Plan::make(&found);
    assert_eq!(plan.toolchain, None);
    assert_eq!(
        plan.steps,
        [Step::BuildLinker],
        "LLVM is there, so no package is needed"
    );
    // Nor for an old compiler: it lacks what the kernel program is built with.
    found.compilers = vec![compiler("rustup's stable", (1, 95, 0), 21)];
    assert_eq!(choose(&found), None);
}

#[test]
fn a_compiler_older_than_the_workspace_asks_for_does_not_count() {
    let mut found = complete();
    found.compilers = vec![compiler("the system's rustc", (1, 85, 0), 19)];
    assert_eq!(
        installed_by(&Plan::make(&found)),
        [DEBIAN_COMPILER, DEBIAN_SOURCES]
    );
}

#[test]
fn package_lists_are_fetched_only_when_something_is_installed() {
    let mut found = complete();
    found.lists = Lists::Missing;
    assert!(Plan::make(&found).is_done());
    for lists in [Lists::Missing, Lists::Old] {
        let mut found = fresh_debian();
        found.lists = lists;
        let plan = Plan::make(&found);
        assert!(
            matches!(plan.steps[0], Step::UpdateLists { .. }),
            "{lists:?}"
        );
    }
}

#[test]
fn a_package_that_is_not_known_is_a_problem_only_once_the_lists_were_fetched() {
    let mut found = fresh_debian();
    found.packages.clear();
    for lists in [Lists::Missing, Lists::Old, Lists::Recent] {
        found.lists = lists;
        let plan = Plan::make(&found);
        assert_eq!(plan.problems, Vec::<String>::new(), "{lists:?}");
        assert!(
            matches!(plan.steps[0], Step::UpdateLists { .. }),
            "{lists:?}"
        );
    }
    found.lists = Lists::JustFetched;
    assert_eq!(Plan::make(&found).problems.len(), 3 + PROGRAMS.len());
}

#[test]
fn a_package_that_the_sources_do_not_have_is_named_with_its_use() {
    let mut found = fresh_debian();
    found.packages.remove("knot-dnsutils");
    let plan = Plan::make(&found);
    let problem = only_problem(&plan);
    assert!(
        problem.contains("knot-dnsutils") && problem.contains("kdig"),
        "{problem}"
    );
}

#[test]
fn without_debians_security_updates_the_compiler_is_too_old() {
    let mut found = fresh_debian();
    offer(&mut found, DEBIAN_COMPILER, "1.85.0+dfsg3-1~deb12u3");
    let plan = Plan::make(&found);
    let problem = only_problem(&plan);
    assert!(
        problem.contains("1.85.0") && problem.contains("bookworm-security"),
        "{problem}"
    );
}

#[test]
fn nothing_of_the_users_is_removed_for_our_compiler() {
    let mut found = fresh_debian();
    let rustc = Package {
        installed: Some("1.63.0+dfsg1-2".into()),
        candidate: None,
    };
    found.packages.insert("rustc".into(), rustc);
    let plan = Plan::make(&found);
    let problem = only_problem(&plan);
    assert!(
        problem.contains("rustc 1.63.0") && problem.contains("rust-src"),
        "{problem}"
    );
    // It is in nobody's way when a rustup toolchain has the sources.
    found
        .compilers
        .push(compiler("rustup's stable", (1, 95, 0), 22));
    assert_eq!(Plan::make(&found).problems, Vec::<String>::new());
}

#[test]
fn another_distribution_gets_a_list_and_no_package_is_named_apt() {
    let mut found = fresh_debian();
    found.system = System::Other("Fedora Linux 43".into());
    let plan = Plan::make(&found);
    let problem = only_problem(&plan);
    for thing in [
        "Fedora Linux 43",
        "rustc 1.95",
        "LLVM 22",
        "unbound",
        "named",
        "kdig",
    ] {
        assert!(problem.contains(thing), "{thing}: {problem}");
    }
    assert!(!problem.contains("apt"), "{problem}");
}

#[test]
fn another_distribution_that_has_everything_is_not_bothered() {
    let mut found = complete();
    found.system = System::Other("Fedora Linux 43".into());
    assert!(Plan::make(&found).is_done());
    // Building the linker needs no packages there either.
    found.linkers.clear();
    assert_eq!(Plan::make(&found).steps, [Step::BuildLinker]);
    assert_eq!(Plan::make(&found).problems, Vec::<String>::new());
}

#[test]
fn services_of_what_is_installed_are_held_back_and_no_others() {
    let mut found = complete();
    found.missing = PROGRAMS
        .iter()
        .filter(|program| program.name == "nsd")
        .collect();
    match Plan::make(&found).steps.as_slice() {
        [Step::Install(wanted)] => assert_eq!(wanted[0].services, ["nsd.service"]),
        other => panic!("{other:?}"),
    }
    let services = |program: &Program| program.services.len();
    assert!(PROGRAMS.iter().map(services).sum::<usize>() > 0);
}

#[test]
fn a_step_says_what_it_runs_with_sudo_only_for_packages() {
    let sudo = Rights::Sudo("/usr/bin/sudo".into());
    for step in &Plan::make(&fresh_debian()).steps {
        let told = step.told(&sudo);
        assert_eq!(
            told.contains("sudo"),
            !matches!(step, Step::BuildLinker),
            "{told}"
        );
        assert!(!step.told(&Rights::Root).contains("sudo"));
    }
}

#[test]
fn the_emulator_is_installed_for_what_needs_it_and_nothing_else() {
    let is_in = |scope: Scope| scope.programs().any(|program| *program == EMULATOR);
    assert!(is_in(Scope::Emulator));
    assert!(!is_in(Scope::Lab) && !is_in(Scope::Build));
    assert_eq!(Scope::Build.programs().count(), 0);
    let mut found = complete();
    found.missing = Scope::Emulator.programs().collect();
    offer(&mut found, EMULATOR.package, "1.0");
    let mut expected: Vec<_> = PROGRAMS.iter().map(|program| program.package).collect();
    expected.push("qemu-system-x86");
    assert_eq!(installed_by(&Plan::make(&found)), expected);
    found.packages.remove(EMULATOR.package);
    let plan = Plan::make(&found);
    assert!(only_problem(&plan).contains("qemu-system-x86"), "{plan:?}");
}

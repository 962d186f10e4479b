//! What runs in the guest: the test programs as they are built for this machine, with the shared
//! libraries and the programs of the system that they use.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::archive::Archive;
use crate::{launch, process, workspace::Workspace};

/// Builds test programs of the crate of tests; gives the file of each, in this order.
///
/// # Errors
/// The build fails.
pub fn build(workspace: &Workspace, dglb: &Path, tests: &[&str]) -> Result<Vec<PathBuf>> {
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args([
            "test",
            "--no-run",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(["--package", "dglb-tests", "--target-dir"])
        .arg(&workspace.target)
        .envs(launch::built_things(workspace, dglb))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for test in tests {
        cargo.args(["--test", test]);
    }
    let output = cargo.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the tests were not built");
    let messages = String::from_utf8_lossy(&output.stdout);
    let file_of = |test: &&str| {
        executable(&messages, test).with_context(|| format!("cargo built no test {test}"))
    };
    tests.iter().map(file_of).collect()
}

/// Cargo's message about a built thing, as far as we read it.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

fn executable(messages: &str, test: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|artifact| artifact.target.name == test && artifact.target.kind == ["test"])
        .find_map(|artifact| artifact.executable)
}

/// Puts a program into the archive, at the path that it has here, with its libraries. What only a
/// debugger reads is left out where `strip` can do that: it is nine tenths of a test program.
///
/// # Errors
/// It cannot be read.
pub fn add(archive: &mut Archive, program: &Path, working: &Path) -> Result<()> {
    if archive.holds(program) {
        return Ok(());
    }
    let stripped = working.join("stripped");
    let strip = Command::new("strip")
        .args(["--strip-debug", "-o"])
        .arg(&stripped)
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let from = match strip {
        Ok(status) if status.success() => &stripped,
        _ => program,
    };
    let content = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    archive.file(program, &content);
    add_libraries(archive, program)
}

fn add_libraries(archive: &mut Archive, program: &Path) -> Result<()> {
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A static program is none of ldd's: it has no libraries.
    let is_static = String::from_utf8_lossy(&output.stderr).contains("not a dynamic executable");
    if !output.status.success() && !is_static {
        bail!("ldd {} ended with {}", program.display(), output.status);
    }
    for library in libraries(&text).with_context(|| program.display().to_string())? {
        archive.same_file(&library)?;
    }
    Ok(())
}

/// The files in the output of ldd: `libc.so.6 => /lib/….so.6 (0x…)`, `/lib64/ld-linux… (0x…)`.
fn libraries(text: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in text.lines().map(str::trim) {
        let (name, path) = line.split_once(" => ").unwrap_or((line, line));
        if path == "not found" {
            bail!("its library {name} is not installed");
        }
        let path = path.rsplit_once(" (").map_or(path, |(path, _)| path);
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_libraries_that_ldd_names() {
        let text = "\
\tlinux-vdso.so.1 (0x00007fb0a3504000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fb0a2c1e000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007fb0a3506000)
";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(text).unwrap(), expected.map(PathBuf::from));
        assert!(libraries("\tstatically linked\n").unwrap().is_empty());
        let error = libraries("\tlibx.so.1 => not found\n").unwrap_err();
        assert_eq!(error.to_string(), "its library libx.so.1 is not installed");
    }

    #[test]
    fn finds_a_test_among_cargos_messages_and_nothing_of_the_same_name() {
        let message = |kind: &str, name: &str, file: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{\"kind\":[\"{kind}\"],\
                 \"name\":\"{name}\"}},\"executable\":{file}}}\n"
            )
        };
        let messages = [
            message("bin", "answers", "\"/t/bin\""),
            message("test", "other", "\"/t/other\""),
            message("test", "answers", "null"),
            message("test", "answers", "\"/t/answers-1\""),
            "{\"reason\":\"build-finished\",\"success\":true}\nnot JSON\n".to_owned(),
        ]
        .concat();
        assert_eq!(
            executable(&messages, "answers"),
            Some(PathBuf::from("/t/answers-1"))
        );
        assert_eq!(executable(&messages, "answer"), None);
        assert_eq!(executable("", "answers"), None);
    }

    #[test]
    fn a_program_brings_its_libraries() {
        let directory = std::env::temp_dir().join(format!("xtask-add-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let own = std::env::current_exe().unwrap();
        let mut archive = Archive::default();
        add(&mut archive, &own, &directory).unwrap();
        assert!(archive.holds(&own));
        let text = process::output("ldd", &[&own.to_string_lossy()]).unwrap();
        for library in libraries(&text).unwrap() {
            assert!(archive.holds(&library), "{}", library.display());
        }
        assert!(add(&mut archive, &directory.join("missing"), &directory).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

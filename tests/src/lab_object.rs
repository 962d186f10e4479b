//! The lab's own eBPF programs, from `dglb-ebpf/src/bin/lab.rs`.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};

/// The file that `cargo xtask build` lays down.
const FILE: &str = "dglb-lab-ebpf";

/// The ELF object: from the directory in `DGLB_EBPF_OBJECTS`, which `cargo xtask` sets, else from
/// where `cargo xtask build` lays it down beside this program.
///
/// # Errors
/// When it is not built.
pub fn object() -> Result<Vec<u8>> {
    let path = match env::var_os("DGLB_EBPF_OBJECTS") {
        Some(directory) => PathBuf::from(directory).join(FILE),
        None => beside_this_program()?,
    };
    fs::read(&path).with_context(|| {
        format!(
            "cannot read the lab's kernel programs from {}; `cargo xtask build` builds them",
            path.display()
        )
    })
}

/// `<target>/ebpf/objects`, seen from `<target>/debug/dglb-demo` or `<target>/debug/deps/TEST`.
fn beside_this_program() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let objects = |directory: &std::path::Path| directory.join("ebpf/objects");
    let target = own
        .ancestors()
        .skip(2)
        .take(2)
        .find(|directory| objects(directory).is_dir());
    let target = target.with_context(|| {
        format!(
            "no kernel programs are built beside {}; run `cargo xtask build`",
            own.display()
        )
    })?;
    Ok(objects(target).join(FILE))
}

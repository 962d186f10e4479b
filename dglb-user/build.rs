//! Finds the kernel program that `src/kernel_object.rs` embeds: `DGLB_EBPF_OBJECT` if set, else
//! where `cargo xtask build` lays it down. Where there is none yet, an empty file stands in, so
//! that `cargo check`, `clippy` and `test` work without the toolchain for kernel programs; `dglb`
//! then says at run time that it was built without.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=DGLB_EBPF_OBJECT");
    println!("cargo:rerun-if-env-changed=CARGO_TARGET_DIR");
    let object = match env::var_os("DGLB_EBPF_OBJECT") {
        Some(path) => fs::canonicalize(&path)
            .map_err(|error| format!("DGLB_EBPF_OBJECT={}: {error}", path.display()))?,
        None => laid_down_by_xtask()?,
    };
    if object.metadata()?.len() == 0 {
        println!(
            "cargo:warning=the kernel program is not built, so dglb will not load one: \
             `cargo xtask build` builds both"
        );
    }
    println!("cargo:rerun-if-changed={}", object.display());
    println!("cargo:rustc-env=DGLB_EBPF_OBJECT_PATH={}", object.display());
    Ok(())
}

fn laid_down_by_xtask() -> io::Result<PathBuf> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest.parent().unwrap_or(&manifest);
    let target = env::var_os("CARGO_TARGET_DIR")
        .filter(|directory| !directory.is_empty())
        .unwrap_or_else(|| "target".into());
    let object = root.join(target).join("ebpf/objects/dglb-ebpf");
    if !object.exists() {
        stand_in(&object)?;
    }
    Ok(object)
}

/// An empty file, for cargo treats a watched file that is missing as changed for ever; an old one,
/// for one newer than this run would count as changed once.
fn stand_in(object: &Path) -> io::Result<()> {
    if let Some(directory) = object.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::File::create(object)?.set_modified(SystemTime::UNIX_EPOCH)
}

//! Where a node's maps and links are pinned: `<bpffs>/dglb/<node name>/v<layout>/`.
//!
//! The maps that are made anew at each start are pinned in `next/` first and moved to their place
//! once the new program is in service.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use dglb_common::layout::LAYOUT;

use super::{FRESH, Kernel, KernelError, shown};
use crate::config::Node;

/// Directory of the maps that are about to be put in their place.
const NEXT: &str = "next";

/// The pin directory of a node, of this layout.
#[derive(Clone, Debug)]
pub struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// The directory of `node`; nothing is made.
    pub fn of(node: &Node) -> Self {
        let directory = node
            .bpffs
            .join("dglb")
            .join(node.pin_name())
            .join(format!("v{LAYOUT}"));
        Self { directory }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the directory and clears what an interrupted start left in `next/`.
    ///
    /// # Errors
    /// [`KernelError::Pins`].
    pub fn prepare(&self) -> Result<(), KernelError> {
        let next = self.directory.join(NEXT);
        let done = (|| {
            fs::create_dir_all(&self.directory)?;
            remove_directory(&next)?;
            fs::create_dir(&next)
        })();
        done.map_err(|source| failed(&next, source))
    }

    /// Pins the new maps beside the old ones.
    ///
    /// # Errors
    /// [`KernelError::Pin`], [`KernelError::Missing`].
    pub(super) fn pin_next(&self, kernel: &Kernel) -> Result<(), KernelError> {
        let next = self.directory.join(NEXT);
        for name in FRESH {
            let path = next.join(name);
            kernel.pin_map(name, &path)?;
        }
        Ok(())
    }

    /// Moves the new maps to their place, over the old ones.
    ///
    /// # Errors
    /// [`KernelError::Pins`].
    pub(super) fn promote(&self) -> Result<(), KernelError> {
        let next = self.directory.join(NEXT);
        for name in FRESH {
            let place = self.map(name);
            fs::rename(next.join(name), &place).map_err(|source| failed(&place, source))?;
        }
        fs::remove_dir(&next).map_err(|source| failed(&next, source))
    }

    /// Gives up the new maps of a start that failed. Best effort: the next start clears them too.
    pub(super) fn discard_next(&self) {
        let _ = remove_directory(&self.directory.join(NEXT));
    }

    /// Gives up all pins of this layout, after a first start that failed. Best effort: the failure
    /// is what is reported.
    pub fn discard(&self) {
        let _ = remove_directory(&self.directory);
        // Stays while another layout is in it.
        let _ = self.directory.parent().map(fs::remove_dir);
    }

    /// Removes all pins of the node, of this layout and of others; `false`: there were none.
    ///
    /// Links go with them: with the last reference gone the kernel detaches the program.
    ///
    /// # Errors
    /// [`KernelError::Pins`].
    pub(super) fn remove(&self) -> Result<bool, KernelError> {
        let node = self.directory.parent().unwrap_or(&self.directory);
        if !node.exists() {
            return Ok(false);
        }
        remove_directory(node).map_err(|source| failed(node, source))?;
        // Stays while another node's directory is in it.
        let _ = node.parent().map(fs::remove_dir);
        Ok(true)
    }

    /// What other versions have pinned for this node in layouts of theirs.
    pub fn other_layouts(&self) -> Vec<Self> {
        let Some(entries) = self
            .directory
            .parent()
            .and_then(|node| fs::read_dir(node).ok())
        else {
            return Vec::new();
        };
        entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| *path != self.directory)
            .map(|directory| Self { directory })
            .collect()
    }
}

/// Removes a directory and all below it; one that is not there is fine.
///
/// `fs::remove_dir_all` would do, but for files that vanish meanwhile.
fn remove_directory(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn failed(path: &Path, source: io::Error) -> KernelError {
    KernelError::Pins {
        path: shown(path),
        source,
    }
}

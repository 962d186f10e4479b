//! An initial RAM file system: what Linux unpacks into its root directory before anything runs.
//!
//! The format is cpio's "newc" (`Documentation/driver-api/early-userspace/buffer-format.rst` of
//! Linux): a header of hexadecimal numbers, the name, the content, each padded to four octets.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;
const LINK: u32 = 0o120_777;

/// The archive as it grows. A path that is there already is left as it is.
#[derive(Default)]
pub struct Archive {
    octets: Vec<u8>,
    paths: BTreeSet<PathBuf>,
}

impl Archive {
    /// A directory, with those above it.
    pub fn directory(&mut self, path: &Path) {
        if path.parent().is_none() || !self.paths.insert(path.to_path_buf()) {
            return;
        }
        self.parents(path);
        self.entry(path, DIRECTORY, (0, 0), &[]);
    }

    /// A file that everyone may read and execute.
    pub fn file(&mut self, path: &Path, content: &[u8]) {
        if self.paths.insert(path.to_path_buf()) {
            self.parents(path);
            self.entry(path, PROGRAM, (0, 0), content);
        }
    }

    /// A file of this machine, links followed, at the same path.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn same_file(&mut self, path: &Path) -> Result<()> {
        if !self.paths.contains(path) {
            let content =
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            self.file(path, &content);
        }
        Ok(())
    }

    /// A character device.
    pub fn device(&mut self, path: &Path, major: u32, minor: u32) {
        if self.paths.insert(path.to_path_buf()) {
            self.parents(path);
            self.entry(path, DEVICE, (major, minor), &[]);
        }
    }

    /// A symbolic link to `target`.
    pub fn link(&mut self, path: &Path, target: &Path) {
        if self.paths.insert(path.to_path_buf()) {
            self.parents(path);
            self.entry(path, LINK, (0, 0), target.as_os_str().as_encoded_bytes());
        }
    }

    /// Whether the path is there.
    pub fn holds(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    /// The whole.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, (0, 0), &[]);
        self.octets
    }

    fn parents(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.directory(parent);
        }
    }

    fn entry(&mut self, path: &Path, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        let path = path.strip_prefix("/").unwrap_or(path);
        let name = path.as_os_str().as_encoded_bytes();
        // Linux refuses an archive of 4 GiB before this number could be wrong.
        let (length, inode) = (content.len() as u32, self.paths.len() as u32);
        let numbers = [
            inode,
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time
            length,
            0, // device of the file system
            0,
            major,
            minor,
            name.len() as u32 + 1,
            0, // checksum, of another format
        ];
        self.octets.extend_from_slice(b"070701");
        for number in numbers {
            self.octets
                .extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.octets.extend_from_slice(name);
        self.octets.push(0);
        self.pad();
        self.octets.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (name, mode, content) as the kernel's own unpacker (`init/initramfs.c`) reads them.
    fn entries(mut octets: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        fn take<'a>(octets: &mut &'a [u8], length: usize) -> &'a [u8] {
            let (taken, rest) = octets.split_at(length);
            *octets = rest;
            taken
        }
        let whole = octets.len();
        let mut entries = Vec::new();
        while !octets.is_empty() {
            assert_eq!((whole - octets.len()) % 4, 0, "not aligned");
            assert_eq!(take(&mut octets, 6), b"070701");
            let numbers: Vec<u32> = take(&mut octets, 13 * 8)
                .chunks(8)
                .map(|hex| u32::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap())
                .collect();
            let (length, name_length) = (numbers[6] as usize, numbers[11] as usize);
            let (name, end) = take(&mut octets, name_length).split_at(name_length - 1);
            assert_eq!(end, [0]);
            let name = String::from_utf8(name.to_vec()).unwrap();
            let skipped = (whole - octets.len()).next_multiple_of(4) - (whole - octets.len());
            take(&mut octets, skipped);
            let content = take(&mut octets, length).to_vec();
            let skipped = (whole - octets.len()).next_multiple_of(4) - (whole - octets.len());
            take(&mut octets, skipped);
            entries.push((name, numbers[1], content));
        }
        entries
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_nothing_comes_twice() {
        let mut archive = Archive::default();
        archive.file(Path::new("/a/b/one"), b"12345");
        archive.file(Path::new("/a/two"), b"");
        archive.file(Path::new("/a/two"), b"another");
        archive.directory(Path::new("/a/b"));
        archive.device(Path::new("/dev/console"), 5, 1);
        archive.link(Path::new("/init"), Path::new("/a/two"));
        assert!(archive.holds(Path::new("/a/b/one")));
        assert!(!archive.holds(Path::new("/a/b/on")));
        let entries = entries(&archive.finish());
        let expected: &[(&str, u32, &[u8])] = &[
            ("a", DIRECTORY, b""),
            ("a/b", DIRECTORY, b""),
            ("a/b/one", PROGRAM, b"12345"),
            ("a/two", PROGRAM, b""),
            ("dev", DIRECTORY, b""),
            ("dev/console", DEVICE, b""),
            ("init", LINK, b"/a/two"),
            ("TRAILER!!!", 0, b""),
        ];
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, mode, content)| (name.as_str(), *mode, content.as_slice()))
            .collect();
        assert_eq!(entries, expected);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_that_names_it() {
        let missing = Path::new("/no/such/file");
        let mut archive = Archive::default();
        let error = archive.same_file(missing).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no/such/file");
        assert!(!archive.holds(missing));
    }
}

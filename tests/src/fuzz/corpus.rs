//! Frames that failed once: `tests/corpus/CASE.hex`, a frame a line in hexadecimal digits, each below a
//! line that begins with `#` and says what it is. They are tried before all others.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{from_hex, hex, run::Failure};
use crate::frames::Frame;

/// Where the corpus of this clone is.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The frames of a case; none where there is no file.
///
/// # Errors
/// The file can't be read, or a line is no frame.
pub fn load(directory: &Path, case: &str) -> Result<Vec<Frame>> {
    let path = file(directory, case);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut about = "";
    let mut frames = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(said) = line.strip_prefix('#') {
            about = said.trim();
        } else if !line.trim().is_empty() {
            let octets = from_hex(line.trim()).with_context(|| {
                let (path, line) = (path.display(), number + 1);
                format!("{path}:{line}: no frame: it takes pairs of hexadecimal digits")
            })?;
            frames.push(Frame::new(about, octets));
        }
    }
    Ok(frames)
}

/// Adds a frame that failed; gives the file.
///
/// # Errors
/// It can't be written.
pub fn add(directory: &Path, failure: &Failure) -> Result<PathBuf> {
    let path = file(directory, failure.case);
    let write = || {
        fs::create_dir_all(directory)?;
        let mut file = fs::File::options().create(true).append(true).open(&path)?;
        let octets = hex(&failure.frame.octets);
        writeln!(file, "# {}\n{octets}", failure.frame.about)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn file(directory: &Path, case: &str) -> PathBuf {
    directory.join(case).with_extension("hex")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        assert!(load(directory.path(), "dns-b").unwrap().is_empty());
        for (about, octet) in [("cut frame", 1), ("sound", 2)] {
            let failure = Failure {
                case: "dns-b",
                frame: Frame::new(about, vec![octet; 14]),
                what: String::new(),
            };
            add(directory.path(), &failure).unwrap();
        }
        let frames = load(directory.path(), "dns-b").unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].about, "sound");
        assert_eq!(frames[1].octets, [2; 14]);
        assert!(load(directory.path(), "dns-lb").unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_no_frame_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("dns-b.hex"), "# x\n00\n0z\n").unwrap();
        let error = load(directory.path(), "dns-b").unwrap_err().to_string();
        assert!(error.contains("dns-b.hex:3: no frame"), "{error}");
    }
}

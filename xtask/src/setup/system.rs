//! Which distribution this is, from `/etc/os-release` (os-release(5)).

/// The distribution, as far as setup cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum System {
    /// Debian 12 or later, Ubuntu, or what is made from them: setup installs packages itself.
    /// Whether they have the wanted packages is another question.
    Debian(String),
    /// Another: setup says what to install.
    Other(String),
}

/// The first Debian with a kernel, compiler and LLVM that suit.
const OLDEST_DEBIAN: u32 = 12;

impl System {
    /// Reads the text of an os-release file.
    pub fn from_os_release(text: &str) -> Self {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))
                .map(|value| value.trim().trim_matches(['"', '\'']))
        };
        let name = field("PRETTY_NAME")
            .or(field("ID"))
            .unwrap_or("an unknown system")
            .to_owned();
        let suits = match field("ID").unwrap_or_default() {
            // Without a version it is testing or unstable, newer than any release.
            "debian" => match field("VERSION_ID").map(str::parse::<u32>) {
                None => true,
                Some(Ok(version)) => version >= OLDEST_DEBIAN,
                Some(Err(_)) => false,
            },
            "ubuntu" => true,
            _ => field("ID_LIKE")
                .unwrap_or_default()
                .split_whitespace()
                .any(|like| like == "debian" || like == "ubuntu"),
        };
        if suits {
            Self::Debian(name)
        } else {
            Self::Other(name)
        }
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Debian(name) | Self::Other(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installs(text: &str) -> bool {
        matches!(System::from_os_release(text), System::Debian(_))
    }

    #[test]
    fn debian_from_12_and_what_is_made_from_it() {
        let bookworm =
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(
            System::from_os_release(bookworm),
            System::Debian("Debian GNU/Linux 12 (bookworm)".into())
        );
        assert!(installs("ID=debian\nVERSION_ID=13"));
        assert!(installs("ID=debian\nVERSION_CODENAME=sid"));
        assert!(installs("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"26.04\""));
        assert!(installs("ID='linuxmint'\nID_LIKE=\"ubuntu debian\""));
    }

    #[test]
    fn others_are_told_what_to_install() {
        for text in [
            "",
            "ID=debian\nVERSION_ID=\"11\"",
            "ID=debian\nVERSION_ID=\"twelve\"",
            "ID=fedora\nVERSION_ID=43",
            "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"",
            "ID=debianoid\nVERSION_ID=12",
            "ID=x\nID_LIKE=notdebian",
            "BUILD_ID=debian\nVARIANT_ID=ubuntu",
            "not an os-release file",
        ] {
            assert!(!installs(text), "{text}");
        }
    }

    #[test]
    fn an_unnamed_system_is_said_to_be_unknown() {
        assert_eq!(System::from_os_release("").name(), "an unknown system");
        assert_eq!(System::from_os_release("ID=alpine").name(), "alpine");
    }
}

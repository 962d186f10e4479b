//! The pinned links of a node, and the interfaces that they hold on to.
//!
//! A link belongs to an interface, not to a name: an interface that is renamed takes its link with it,
//! one that is deleted leaves a link that holds nothing. So a pin's name is only what it was when it
//! was made; what counts is the number of the interface that the kernel tells for the link.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::links::{FdLink, PinnedLink};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{KernelError, attach::Mode, pins::Pins, shown};
use crate::interfaces::{self, Interface};

/// Prefix of a link's pin; mode and interface follow.
const LINK: &str = "link_";

/// The links of a node.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Mode and pin, by the name that the interface has now.
    pub here: BTreeMap<String, (Mode, PathBuf)>,
    /// Pins of links to no interface of this network namespace, with the name that they were made for.
    pub void: Vec<(String, PathBuf)>,
}

/// What the kernel tells of a link.
struct Target {
    /// The interface; 0 when it is gone.
    index: u32,
    program: u32,
}

impl Links {
    /// Reads the pins; none where the node has no directory.
    pub fn read(pins: &Pins) -> Self {
        let interfaces = interfaces::list().ok();
        let mut links = Self::default();
        for (mode, name, pin) in pinned(pins) {
            match (target(&pin), &interfaces) {
                (Some(target), Some(interfaces)) => match find(&target, interfaces) {
                    Some(name) => {
                        links.here.insert(name, (mode, pin));
                    }
                    None => links.void.push((name, pin)),
                },
                // Without rights to ask, the name is all there is.
                _ => {
                    links.here.insert(name, (mode, pin));
                }
            }
        }
        links
    }

    /// All pins, with the interface's name.
    pub fn into_pins(self) -> impl Iterator<Item = (String, PathBuf)> {
        let here = self.here.into_iter().map(|(name, (_, pin))| (name, pin));
        here.chain(self.void)
    }
}

/// Gives each pin the name of the interface that its link is at, and removes void links. Nothing that
/// serves in this namespace is changed by it.
///
/// # Errors
/// [`KernelError::Pins`].
pub(super) fn settle(pins: &Pins) -> Result<(), KernelError> {
    for (interface, pin) in Links::read(pins).void {
        tracing::info!(
            interface,
            "the interface that the program was attached to is gone: its link is removed"
        );
        remove(&pin)?;
    }
    // Each turn brings one pin to its last name.
    let misnamed = || {
        let links = Links::read(pins).here.into_iter();
        links
            .map(|(name, (mode, pin))| (name.clone(), link_pin(pins, &name, mode), pin))
            .find(|(_, right, pin)| pin != right)
    };
    while let Some((interface, right, pin)) = misnamed() {
        let before = pin.file_name().unwrap_or_default().to_string_lossy();
        tracing::info!(interface, pin = %before, "the interface was renamed, its link goes with it");
        // Interfaces may have changed names with each other: then the other link must not go.
        let flags = if right.exists() {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::NOREPLACE
        };
        renameat_with(CWD, &pin, CWD, &right, flags).map_err(|source| KernelError::Pins {
            path: shown(&pin),
            source: source.into(),
        })?;
    }
    Ok(())
}

/// Removes a link's pin: with the last reference gone, the kernel detaches the program.
pub(super) fn remove(pin: &Path) -> Result<(), KernelError> {
    fs::remove_file(pin).map_err(|source| KernelError::Pins {
        path: shown(pin),
        source,
    })
}

/// `link_<mode>_<interface>`; a BPF file system takes no dots, interfaces take no colons.
pub(super) fn link_pin(pins: &Pins, interface: &str, mode: Mode) -> PathBuf {
    let interface = interface.replace('.', ":");
    pins.map(&format!("{LINK}{}_{interface}", mode.name()))
}

/// Mode, name and path of each link's pin.
fn pinned(pins: &Pins) -> Vec<(Mode, String, PathBuf)> {
    let entries: io::Result<Vec<_>> = fs::read_dir(pins.directory()).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    });
    let mut links = Vec::new();
    for path in entries.unwrap_or_default() {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some((mode, interface)) = name.and_then(read_name) {
            links.push((mode, interface, path));
        }
    }
    links
}

/// The reverse of [`link_pin`].
fn read_name(pin: &str) -> Option<(Mode, String)> {
    let rest = pin.strip_prefix(LINK)?;
    [Mode::Native, Mode::Generic].into_iter().find_map(|mode| {
        let interface = rest.strip_prefix(mode.name())?.strip_prefix('_')?;
        Some((mode, interface.replace(':', ".")))
    })
}

/// The name of a link's interface. The same number may be another interface's in another network
/// namespace: it is this one only if the link's program is there too.
fn find(target: &Target, interfaces: &[Interface]) -> Option<String> {
    if target.index == 0 {
        return None;
    }
    match interfaces.iter().find(|at| at.index == target.index) {
        Some(interface) => interface
            .has_program(target.program)
            .then(|| interface.name.clone()),
        // Made or told in a form that is not known: a link that may serve is not given up.
        None => interfaces::name_of(target.index),
    }
}

/// `None`: the link can't be asked.
fn target(pin: &Path) -> Option<Target> {
    let link = FdLink::from(PinnedLink::from_pin(pin).ok()?);
    let info = link.info().ok()?;
    Some(Target {
        index: index_of_link(info.id())?,
        program: info.program_id(),
    })
}

/// The interface of a link that this process has open. aya gives neither `bpf_link_info`'s number of
/// the interface nor the descriptor; the kernel shows both under /proc (`bpf_link_show_fdinfo`, kernel
/// 5.9).
fn index_of_link(id: u32) -> Option<u32> {
    let entries = fs::read_dir("/proc/self/fdinfo").ok()?;
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .find(|text| field(text, "link_id") == Some(id))
        .and_then(|text| field(&text, "ifindex"))
}

/// The number in the line `name:<tab>number`.
fn field(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interfaces::Program;

    #[test]
    fn a_pins_name_has_mode_and_interface() {
        let seen = |pin| read_name(pin).map(|(mode, name)| (mode.name(), name));
        assert_eq!(
            seen("link_native_eth0:5"),
            Some(("native", "eth0.5".into()))
        );
        assert_eq!(seen("link_generic_a_b"), Some(("generic", "a_b".into())));
        for other in ["link_", "link_native", "link_offload_eth0", "names", ""] {
            assert_eq!(seen(other), None, "{other}");
        }
    }

    #[test]
    fn a_links_fields_are_read_by_their_whole_name() {
        let text = "pos:\t0\nlink_type:\txdp\nlink_id:\t7\nprog_id:\t41\nifindex:\t3\n";
        assert_eq!(field(text, "link_id"), Some(7));
        assert_eq!(field(text, "ifindex"), Some(3));
        assert_eq!(field(text, "index"), None);
        assert_eq!(field("ifindex:\tx\n", "ifindex"), None);
        assert_eq!(field("", "ifindex"), None);
    }

    #[test]
    fn an_interface_is_the_links_only_with_its_program() {
        let interface = Interface {
            // A number that no test machine gets to.
            index: 0x7fff_fff0,
            name: "wan0".into(),
            programs: vec![Program {
                mode: "native",
                id: 41,
            }],
            ..Interface::default()
        };
        let interfaces = [Interface::default(), interface];
        let found = |index, program| find(&Target { index, program }, &interfaces);
        assert_eq!(found(0x7fff_fff0, 41).as_deref(), Some("wan0"));
        for (index, program) in [(0x7fff_fff0, 40), (0x7fff_fff1, 41), (0, 41), (0, 0)] {
            assert_eq!(found(index, program), None, "{index} {program}");
        }
        // Not in the list, but there.
        assert_eq!(found(1, 41).as_deref(), Some("lo"));
    }
}

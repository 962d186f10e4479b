//! What is in the way where the kernel says that an interface is taken, and how to remove it.

use std::fmt;

use aya::programs::{ProgramInfo, links::LinkType, loaded_links, loaded_programs};

use super::PROGRAM;
use crate::interfaces::{self, Interface, Program};

/// Why a program can't be attached to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Another program is there.
    Program {
        interface: String,
        program: Program,
        /// The name it was loaded with, at most 15 characters.
        name: String,
        /// Links that hold this program, here or at other interfaces; none: it is attached without.
        links: Vec<u32>,
    },
    /// The bond or team that the interface is a port of has a program.
    Master { master: String, id: u32 },
    /// It was gone when it was looked for.
    Unknown,
}

impl Obstacle {
    /// Looks at `interface`.
    pub fn at(interface: &str) -> Self {
        let Ok(interfaces) = interfaces::list() else {
            return Self::Unknown;
        };
        Self::among(&interfaces, interface).unwrap_or(Self::Unknown)
    }

    /// What is at `interface` among all `interfaces`; `None`: nothing is in the way.
    pub fn among(interfaces: &[Interface], name: &str) -> Option<Self> {
        let taken = interfaces.iter().find(|interface| interface.name == name)?;
        if let Some(&program) = taken.programs.first() {
            return Some(Self::Program {
                interface: name.to_owned(),
                program,
                name: name_of(program.id),
                links: links_of(program.id),
            });
        }
        let master = interfaces
            .iter()
            .find(|above| Some(above.index) == taken.master)?;
        Some(Self::Master {
            master: master.name.clone(),
            id: master.programs.first()?.id,
        })
    }
}

fn name_of(id: u32) -> String {
    let has_id = |info: &ProgramInfo| info.id() == id;
    let info = loaded_programs().filter_map(Result::ok).find(has_id);
    let name = info.as_ref().and_then(ProgramInfo::name_as_str);
    name.unwrap_or_default().to_owned()
}

fn links_of(program: u32) -> Vec<u32> {
    loaded_links()
        .filter_map(Result::ok)
        .filter(|link| {
            link.program_id() == program && matches!(link.link_type(), Ok(LinkType::Xdp))
        })
        .map(|link| link.id())
        .collect()
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program {
                interface,
                program: Program { mode, id },
                name,
                links,
            } => {
                write!(
                    formatter,
                    "another XDP program is attached, \"{name}\" with id {id}, in {mode} mode (`bpftool \
                     prog show id {id}` tells more); to remove it, "
                )?;
                if name == PROGRAM {
                    write!(
                        formatter,
                        "run `dglb unload` with the configuration of the node that it belongs to, or: "
                    )?;
                } else {
                    write!(formatter, "end what put it there, or: ")?;
                }
                let without_link = format!("ip link set dev {interface} {} off", ip_option(mode));
                match links.as_slice() {
                    [] => write!(formatter, "{without_link}"),
                    // It may be another interface's, and the program here without a link.
                    [link] => write!(
                        formatter,
                        "bpftool link detach id {link} (if it stays then: {without_link})"
                    ),
                    _ => write!(
                        formatter,
                        "bpftool link detach id LINK, with the one of `bpftool link show` that has prog \
                         {id} and {interface}"
                    ),
                }
            }
            Self::Master { master, id } => write!(
                formatter,
                "it is a port of \"{master}\", which has an XDP program itself (id {id}); the kernel takes \
                 one or the other: name {master} in node.interfaces instead, or remove that program \
                 (`bpftool net` lists them)"
            ),
            Self::Unknown => formatter.write_str(
                "another XDP program was attached at that moment (`bpftool net` lists them); start again",
            ),
        }
    }
}

/// How `ip link set` calls a mode.
fn ip_option(mode: &str) -> &'static str {
    match mode {
        "generic" => "xdpgeneric",
        "hardware" => "xdpoffload",
        _ => "xdpdrv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, master: Option<u32>, programs: &[u32]) -> Interface {
        let program = |&id: &u32| Program { mode: "native", id };
        Interface {
            index,
            name: name.into(),
            master,
            programs: programs.iter().map(program).collect(),
            ..Interface::default()
        }
    }

    #[test]
    fn the_bond_above_is_found() {
        let bond = interface(2, "bond0", None, &[77]);
        let free = interface(3, "bond1", None, &[]);
        let ports = [
            interface(4, "eth0", Some(2), &[]),
            interface(5, "eth1", Some(3), &[]),
            interface(6, "eth2", None, &[]),
        ];
        let all = [vec![bond, free], ports.to_vec()].concat();
        let said = Obstacle::among(&all, "eth0").expect("the bond").to_string();
        assert!(
            said.contains("\"bond0\"") && said.contains("id 77"),
            "{said}"
        );
        for free in ["eth1", "eth2", "no-such-name"] {
            assert_eq!(Obstacle::among(&all, free), None, "{free}");
        }
    }

    #[test]
    fn the_command_fits_to_how_the_program_is_held() {
        let text = |mode, name: &str, links: &[u32]| {
            let obstacle = Obstacle::Program {
                interface: "eth0".into(),
                program: Program { mode, id: 41 },
                name: name.into(),
                links: links.to_vec(),
            };
            obstacle.to_string()
        };
        let native = |links| text("native", "filter", links);
        assert!(native(&[7]).contains("or: bpftool link detach id 7 ("));
        assert!(native(&[]).ends_with("ip link set dev eth0 xdpdrv off"));
        assert!(text("generic", "filter", &[]).ends_with("ip link set dev eth0 xdpgeneric off"));
        assert!(native(&[]).contains("\"filter\" with id 41, in native mode"));
        // Which of several is here can't be known, and the wrong one must not be detached.
        assert!(!native(&[7, 8]).contains("id 7") && native(&[7, 8]).contains("prog 41"));
        assert!(text("native", PROGRAM, &[7]).contains("`dglb unload`"));
        assert!(!native(&[7]).contains("`dglb unload`"));
    }
}

//! What is in the way where the kernel says that an interface is taken, and how to remove it.

use std::fmt;

use aya::programs::{ProgramInfo, links::LinkType, loaded_links, loaded_programs};

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
        /// The link that holds it there, if one does.
        link: Option<u32>,
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

    fn among(interfaces: &[Interface], name: &str) -> Option<Self> {
        let taken = interfaces.iter().find(|interface| interface.name == name)?;
        if let Some(&program) = taken.programs.first() {
            return Some(Self::Program {
                interface: name.to_owned(),
                program,
                name: name_of(program.id),
                link: link_of(program.id),
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

/// Of several links with this program any will do: the message names the command that shows them.
fn link_of(program: u32) -> Option<u32> {
    loaded_links()
        .filter_map(Result::ok)
        .find(|link| link.program_id() == program && matches!(link.link_type(), Ok(LinkType::Xdp)))
        .map(|link| link.id())
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program {
                interface,
                program: Program { mode, id },
                name,
                link,
            } => {
                write!(
                    formatter,
                    "another XDP program is attached, \"{name}\" with id {id}, in {mode} mode (`bpftool \
                     prog show id {id}` tells more); to remove it, end the program that put it there, or: "
                )?;
                match link {
                    Some(link) => write!(formatter, "bpftool link detach id {link}"),
                    None => {
                        let option = match *mode {
                            "generic" => "xdpgeneric",
                            "hardware" => "xdpoffload",
                            _ => "xdpdrv",
                        };
                        write!(formatter, "ip link set dev {interface} {option} off")
                    }
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
        let text = |mode, link| {
            let obstacle = Obstacle::Program {
                interface: "eth0".into(),
                program: Program { mode, id: 41 },
                name: "filter".into(),
                link,
            };
            obstacle.to_string()
        };
        assert!(text("native", Some(7)).ends_with("bpftool link detach id 7"));
        assert!(text("native", None).ends_with("ip link set dev eth0 xdpdrv off"));
        assert!(text("generic", None).ends_with("ip link set dev eth0 xdpgeneric off"));
        assert!(text("native", None).contains("\"filter\" with id 41, in native mode"));
    }
}

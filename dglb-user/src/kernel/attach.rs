//! Puts the program in service: under a pinned link for each interface.
//!
//! An interface that the node serves already has such a link, and the program under it is replaced
//! in one step (`BPF_LINK_UPDATE`, kernel 5.9): no frame meets an interface without a program.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    loaded_links,
    xdp::XdpLink,
};

use super::{
    Kernel, KernelError,
    links::{self, Links, link_pin},
    obstacle::Obstacle,
    pins::Pins,
    shown,
};
use crate::interfaces;

/// How long the kernel may take to detach.
const DETACHED: Duration = Duration::from_secs(10);

/// How the program runs at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the kernel's generic receive path: the driver has no XDP.
    Generic,
}

impl Mode {
    /// The word for people, and in the link's pin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn xdp_mode(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

/// Puts `kernel` in service at `interfaces`, in place of what was there, and pins its maps.
///
/// # Errors
/// [`KernelError`]. Interfaces that were attached by this call are detached again; those that the
/// node served before keep what they had, but for one whose program was replaced before another's
/// could not be: there the new program answers the short way, and passes all else up until the next
/// start.
pub fn attach(
    kernel: &mut Kernel,
    pins: &Pins,
    interfaces: &[String],
) -> Result<BTreeMap<String, Mode>, KernelError> {
    pins.prepare()?;
    links::settle(pins)?;
    let attached = pins
        .pin_next(kernel)
        .and_then(|()| attach_all(kernel, pins, interfaces));
    let modes = match attached {
        Ok(modes) => modes,
        Err(error) => {
            pins.discard_next();
            return Err(error);
        }
    };
    detach_others(pins, interfaces)?;
    pins.promote()?;
    Ok(modes)
}

/// Interfaces without a link come first: they are what can fail, and nothing is replaced before.
fn attach_all(
    kernel: &mut Kernel,
    pins: &Pins,
    interfaces: &[String],
) -> Result<BTreeMap<String, Mode>, KernelError> {
    let served = Links::read(pins).here;
    let (served, new): (Vec<_>, Vec<_>) = interfaces
        .iter()
        .partition(|interface| served.contains_key(*interface));
    let mut modes = BTreeMap::new();
    let mut made = Vec::new();
    for interface in new.into_iter().chain(served) {
        match attach_one(kernel, pins, interface) {
            Ok(Attached { mode, new }) => {
                modes.insert(interface.clone(), mode);
                made.extend(new);
            }
            Err(error) => {
                for pin in made {
                    // Best effort: the error that is reported is the first one.
                    let _ = fs::remove_file(pin);
                }
                return Err(error);
            }
        }
    }
    Ok(modes)
}

/// The interfaces that have a pinned link, and how the program runs there.
pub fn attached(pins: &Pins) -> BTreeMap<String, Mode> {
    Links::read(pins)
        .here
        .into_iter()
        .map(|(interface, (mode, _))| (interface, mode))
        .collect()
}

/// The interfaces among `wanted` that a start would find taken, and the reason with the remedy. Those
/// where the node is attached itself are not; nothing is said where these rights are too few to know.
pub fn taken(pins: &Pins, wanted: &[String]) -> Vec<(String, String)> {
    let (Ok(_), Ok(all)) = (pins.directory().try_exists(), interfaces::list()) else {
        return Vec::new();
    };
    let own = Links::read(pins).here;
    let others = wanted.iter().filter(|name| !own.contains_key(*name));
    others
        .filter_map(|name| Some((name.clone(), Obstacle::among(&all, name)?.to_string())))
        .collect()
}

/// Removes all pins of the node, those of other layouts too, and waits until the kernel has detached its program, which it does some
/// time after the last reference to a link is gone; `false`: nothing was pinned.
///
/// # Errors
/// [`KernelError::Pins`]; [`KernelError::Attach`] when something else holds a link.
pub fn detach_all(pins: &Pins) -> Result<bool, KernelError> {
    let layouts = std::iter::once(pins.clone()).chain(pins.other_layouts());
    let links: Vec<(String, Option<u32>)> = layouts
        .flat_map(|pins| Links::read(&pins).into_pins())
        .map(|(interface, pin)| (interface, link_id(&pin)))
        .collect();
    let removed = pins.remove()?;
    let deadline = Instant::now() + DETACHED;
    for (interface, id) in links {
        while id.is_some_and(is_loaded) {
            if Instant::now() > deadline {
                return Err(KernelError::Attach {
                    interface,
                    reason: "the program stays attached: another process holds its link \
                             (`bpftool link` shows it)"
                        .to_owned(),
                });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(removed)
}

fn link_id(pin: &Path) -> Option<u32> {
    let link = PinnedLink::from_pin(pin).ok()?;
    Some(FdLink::from(link).info().ok()?.id())
}

fn is_loaded(id: u32) -> bool {
    loaded_links()
        .filter_map(Result::ok)
        .any(|link| link.id() == id)
}

struct Attached {
    mode: Mode,
    /// The pin, if this call made it.
    new: Option<PathBuf>,
}

/// Puts the program that serves at the other interfaces under one that came (again) while the node
/// runs.
///
/// # Errors
/// As [`attach`].
pub fn attach_again(
    kernel: &mut Kernel,
    pins: &Pins,
    interface: &str,
) -> Result<Mode, KernelError> {
    links::settle(pins)?;
    attach_one(kernel, pins, interface).map(|attached| attached.mode)
}

fn attach_one(kernel: &mut Kernel, pins: &Pins, interface: &str) -> Result<Attached, KernelError> {
    if let Some((mode, pin)) = Links::read(pins).here.remove(interface) {
        match replace(kernel, &pin) {
            Ok(()) => {
                say_if_native_is_possible(interface, mode);
                return Ok(Attached { mode, new: None });
            }
            // All else leaves the program that serves where it is.
            Err(error) if !is_void(&error) => return Err(error),
            Err(error) => {
                // The interface was removed and made anew at this moment.
                tracing::info!(interface, %error, "the earlier link is void, a new one is made");
                links::remove(&pin)?;
            }
        }
    }
    let native = attach_new(kernel, pins, interface, Mode::Native);
    let attached = match native {
        Err(AttachError::Unsupported(reason)) => {
            tracing::warn!(
                interface,
                reason,
                "the driver can't run XDP in this state: generic mode, which is slower (`dglb check` \
                 may say what to do)"
            );
            attach_new(kernel, pins, interface, Mode::Generic)
        }
        attached => attached,
    };
    attached.map_err(|error| KernelError::Attach {
        interface: interface.to_owned(),
        reason: error.to_string(),
    })
}

/// A replaced program runs in the mode of the one before; the reason for that mode may be over.
fn say_if_native_is_possible(interface: &str, mode: Mode) {
    let index = interfaces::index_of(interface);
    if mode == Mode::Generic && index.and_then(interfaces::has_native_xdp) == Some(true) {
        tracing::warn!(
            interface,
            "still in generic mode from an earlier start, though the driver has XDP of its own; to try \
             native mode: `dglb unload`, then start again"
        );
    }
}

/// Whether a link's interface is gone: `bpf_xdp_link_update` says ENOLINK (net/core/dev.c, kernel 5.9).
fn is_void(error: &KernelError) -> bool {
    const ENOLINK: i32 = 67;
    matches!(error, KernelError::Program(ProgramError::SyscallError(error))
        if error.io_error.raw_os_error() == Some(ENOLINK))
}

/// Replaces the program under a pinned link.
fn replace(kernel: &mut Kernel, pin: &Path) -> Result<(), KernelError> {
    let wrong = |reason: String| KernelError::Pin {
        path: shown(pin),
        reason,
    };
    let link = PinnedLink::from_pin(pin).map_err(|error| wrong(error.to_string()))?;
    let link = XdpLink::try_from(FdLink::from(link)).map_err(|error| wrong(error.to_string()))?;
    let program = kernel.program()?;
    let id = program.attach_to_link(link)?;
    // The pin keeps the link; with our own reference gone, removing the pin detaches.
    drop(program.take_link(id)?);
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum AttachError {
    #[error("no such interface (`ip link` lists them)")]
    NoInterface,
    #[error("{0}")]
    Busy(Obstacle),
    #[error("the driver can't run XDP: {0}")]
    Unsupported(String),
    #[error("no rights: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NoRights,
    #[error("{0}")]
    Other(String),
}

fn attach_new(
    kernel: &mut Kernel,
    pins: &Pins,
    interface: &str,
    mode: Mode,
) -> Result<Attached, AttachError> {
    let other = |error: &dyn std::fmt::Display| AttachError::Other(error.to_string());
    let program = kernel.program().map_err(|error| other(&error))?;
    let id = match program.attach(interface, mode.xdp_mode()) {
        Ok(id) => id,
        Err(error) => return Err(attach_error(program, interface, mode, error)),
    };
    let link = program.take_link(id).map_err(|error| other(&error))?;
    let link = FdLink::try_from(link).map_err(|_| {
        AttachError::Other("the kernel made no link (kernel 5.9 and later do)".to_owned())
    })?;
    let pin = link_pin(pins, interface, mode);
    link.pin(&pin).map_err(|error| other(&error))?;
    Ok(Attached {
        mode,
        new: Some(pin),
    })
}

fn attach_error(program: &Xdp, interface: &str, mode: Mode, error: ProgramError) -> AttachError {
    match error {
        ProgramError::UnknownInterface { .. } => AttachError::NoInterface,
        ProgramError::SyscallError(error) => match error.io_error.raw_os_error() {
            // EBUSY, EEXIST: the kernel's words for a program in the way, in this mode or another.
            Some(16 | 17) => AttachError::Busy(Obstacle::at(interface)),
            Some(1 | 13) => AttachError::NoRights,
            // EOPNOTSUPP; ERANGE and EINVAL: a driver that has XDP but not at this MTU or with
            // these queues or offloads.
            Some(95 | 34 | 22) => {
                let words = (mode == Mode::Native)
                    .then(|| words_of_driver(program, interface))
                    .flatten();
                AttachError::Unsupported(words.unwrap_or_else(|| error.io_error.to_string()))
            }
            _ => AttachError::Other(error.io_error.to_string()),
        },
        // aya falls back to netlink where the link was refused with EINVAL.
        ProgramError::XdpError(error) => AttachError::Unsupported(error.to_string()),
        error => AttachError::Other(error.to_string()),
    }
}

/// Why the driver refuses, in its own words.
fn words_of_driver(program: &Xdp, interface: &str) -> Option<String> {
    let descriptor = program.fd().ok()?;
    interfaces::why_refused(interfaces::index_of(interface)?, descriptor.as_fd())
}

/// Takes the program from interfaces that are no longer configured.
fn detach_others(pins: &Pins, interfaces: &[String]) -> Result<(), KernelError> {
    for (interface, (_, pin)) in Links::read(pins).here {
        if !interfaces.contains(&interface) {
            tracing::info!(interface, "no longer configured: detached");
            links::remove(&pin)?;
        }
    }
    Ok(())
}

//! Looks after the interfaces of a node that serves: one that vanishes is told, one that comes back
//! gets the program again.
//!
//! Done at the publisher's heartbeat, as only the publisher has the [`Kernel`]. While nothing changes
//! it costs one short system call an interface.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dglb_common::counters::Counters;

use crate::{
    interfaces,
    kernel::{
        Kernel,
        attach::{self, Mode},
        pins::Pins,
    },
    publish::{DataPath, DataPathError},
    tables::Change,
};

/// How long a refused interface is left alone.
const AGAIN: Duration = Duration::from_secs(10);

/// The kernel's side with its interfaces.
pub struct Watched {
    kernel: Kernel,
    pins: Pins,
    interfaces: Vec<Watch>,
}

/// One configured interface.
struct Watch {
    name: String,
    /// What it was numbered when it was attached; `None`: gone, or not attached yet.
    index: Option<u32>,
    /// Set once a refusal was reported: when it is tried next.
    refused: Option<Instant>,
}

/// What to do about an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    TellGone,
    Attach(u32),
}

impl Watched {
    /// Takes over a kernel side that was just attached to the interfaces in `modes`.
    pub fn new(kernel: Kernel, pins: Pins, modes: &BTreeMap<String, Mode>) -> Self {
        let interfaces = modes.keys().map(|name| Watch {
            index: interfaces::index_of(name),
            name: name.clone(),
            refused: None,
        });
        Self {
            interfaces: interfaces.collect(),
            kernel,
            pins,
        }
    }

    fn look(&mut self, now: Instant) {
        for watch in &mut self.interfaces {
            match watch.step(interfaces::index_of(&watch.name), now) {
                Step::Nothing => {}
                Step::TellGone => tracing::error!(
                    interface = watch.name,
                    "the interface is gone or renamed: no query is answered there; when there is one of \
                     this name again, the program is attached to it"
                ),
                // `dglb unload` was run beside this daemon: it has no kernel side any more.
                Step::Attach(_) if !self.pins.directory().exists() => {}
                Step::Attach(index) => {
                    let attached = attach::attach_again(&mut self.kernel, &self.pins, &watch.name);
                    watch.attached(index, attached, now);
                }
            }
        }
    }
}

impl Watch {
    /// Compares with the number that the interface has now.
    fn step(&mut self, index: Option<u32>, now: Instant) -> Step {
        if index == self.index {
            return Step::Nothing;
        }
        match index {
            None => {
                self.index = None;
                self.refused = None;
                Step::TellGone
            }
            Some(_) if self.refused.is_some_and(|next| now < next) => Step::Nothing,
            Some(index) => Step::Attach(index),
        }
    }

    fn attached<E: std::fmt::Display>(&mut self, index: u32, mode: Result<Mode, E>, now: Instant) {
        let interface = &self.name;
        match mode {
            Ok(mode) => {
                tracing::info!(
                    interface,
                    mode = mode.name(),
                    "the interface is back: XDP program in service"
                );
                self.index = Some(index);
                self.refused = None;
            }
            Err(error) => {
                if self.refused.is_none() {
                    let seconds = AGAIN.as_secs();
                    tracing::error!(interface, %error, "the interface is back, but can't be served; tried again every {seconds} s");
                }
                self.refused = Some(now + AGAIN);
            }
        }
    }
}

impl DataPath for Watched {
    fn apply(&mut self, changes: &[Change]) -> Result<(), DataPathError> {
        self.kernel.apply(changes)
    }

    fn beat(&mut self, now_ns: u64) -> Result<(), DataPathError> {
        self.look(Instant::now());
        self.kernel.beat(now_ns)
    }

    fn needs_grace(&self) -> bool {
        self.kernel.needs_grace()
    }

    fn grace(&mut self) -> Result<(), DataPathError> {
        self.kernel.grace()
    }

    fn count(&mut self, counters: &Counters) -> Result<(), DataPathError> {
        self.kernel.count(counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(index: Option<u32>) -> Watch {
        Watch {
            name: "eth0".into(),
            index,
            refused: None,
        }
    }

    #[test]
    fn an_interface_that_stays_is_left_alone() {
        let now = Instant::now();
        assert_eq!(watch(Some(3)).step(Some(3), now), Step::Nothing);
        assert_eq!(watch(None).step(None, now), Step::Nothing);
    }

    #[test]
    fn one_that_goes_is_told_once_and_attached_when_it_is_back() {
        let now = Instant::now();
        let mut watch = watch(Some(3));
        assert_eq!(watch.step(None, now), Step::TellGone);
        assert_eq!(watch.step(None, now), Step::Nothing);
        assert_eq!(watch.step(Some(9), now), Step::Attach(9));
        watch.attached(9, Ok::<_, &str>(Mode::Native), now);
        assert_eq!(watch.step(Some(9), now), Step::Nothing);
        // Deleted and made anew between two looks.
        assert_eq!(watch.step(Some(10), now), Step::Attach(10));
    }

    #[test]
    fn a_refused_one_is_tried_again_after_a_pause() {
        let now = Instant::now();
        let mut watch = watch(None);
        watch.attached(9, Err("taken"), now);
        assert_eq!(watch.step(Some(9), now), Step::Nothing);
        assert_eq!(watch.step(Some(9), now + AGAIN), Step::Attach(9));
        watch.attached(9, Err("taken"), now + AGAIN);
        assert_eq!(watch.step(Some(9), now + AGAIN), Step::Nothing);
        watch.attached(9, Ok::<_, &str>(Mode::Generic), now + 2 * AGAIN);
        assert_eq!(watch.step(None, now), Step::TellGone);
        // One that goes and comes is another one, and tried at once.
        assert_eq!(watch.step(Some(11), now), Step::Attach(11));
    }
}

//! The ring buffer by which the program tells that a watched answer was asked for.

use std::os::fd::{AsRawFd, RawFd};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use dglb_common::layout::WatchedEvent;

use super::KernelError;

/// The reading end.
pub struct WatchedEvents(RingBuf<MapData>);

impl WatchedEvents {
    /// Takes the map out of the loaded object; the program has it all the same.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let map = ebpf
            .take_map("events")
            .ok_or(KernelError::Missing("events"))?;
        let wrong = |source| KernelError::Table {
            table: "events",
            source,
        };
        RingBuf::try_from(map).map(Self).map_err(wrong)
    }

    /// The group of the next event; `None`: there is none now.
    pub fn next_group(&mut self) -> Option<u32> {
        let item = self.0.next()?;
        let octets = item.get(..size_of::<u32>())?;
        const { assert!(std::mem::offset_of!(WatchedEvent, group) == 0) };
        octets.try_into().ok().map(u32::from_ne_bytes)
    }
}

impl AsRawFd for WatchedEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

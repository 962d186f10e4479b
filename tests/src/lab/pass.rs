//! The program on the router's interfaces that passes every frame.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{Xdp, xdp::XdpMode},
};

use crate::lab_object;

/// The loaded program; its attachments end when it is dropped.
#[derive(Debug)]
pub(super) struct Pass(Ebpf);

impl Pass {
    pub(super) fn load() -> Result<Self> {
        let mut object =
            Ebpf::load(&lab_object::object()?).context("cannot load the lab's programs")?;
        program(&mut object)?
            .load()
            .context("the kernel refused the program \"pass\"")?;
        Ok(Self(object))
    }

    /// Attaches to `interface` of the calling thread's network namespace.
    pub(super) fn attach(&mut self, interface: &str) -> Result<()> {
        program(&mut self.0)?
            .attach(interface, XdpMode::Driver)
            .with_context(|| format!("cannot attach \"pass\" to {interface}"))?;
        Ok(())
    }
}

fn program(object: &mut Ebpf) -> Result<&mut Xdp> {
    let program = object
        .program_mut("pass")
        .context("the lab's object has no program \"pass\"")?;
    Ok(program.try_into()?)
}

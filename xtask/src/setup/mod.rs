//! Set-up: what building, testing and showing DGLB needs, brought onto this machine.
//!
//! `found` looks at the machine, `plan` decides (pure, tested), this file prints and carries out.
//! It runs as the verb `setup`, and by [`ensure`] at the start of every other verb.

pub mod apt;
mod compiler;
mod found;
mod linker;
mod needs;
mod plan;
mod system;

use std::io::{self, Write};

use anyhow::{Context as _, Result, bail};

use self::{
    apt::Lists,
    found::Found,
    plan::{Plan, Step},
};
pub use self::{
    needs::{EMULATOR, Scope},
    plan::Toolchain,
};
use crate::rights::Rights;

/// One round to refresh the package lists, one to install, one for what only shows after that
/// (the version of an installed compiler). What is still missing then will not come.
const ROUNDS: usize = 3;

/// `cargo xtask setup`: everything, told step by step.
///
/// # Errors
/// Something is missing and cannot be had.
pub fn verb(dry_run: bool) -> Result<()> {
    let mut out = io::stdout();
    let found = Found::look(Scope::Lab)?;
    write!(out, "{found}")?;
    if dry_run {
        tell(&Plan::make(&found), &mut out)
    } else {
        carry_out(Scope::Lab, found, &mut out)?;
        Ok(writeln!(out, "everything is there")?)
    }
}

/// Makes sure that a verb's needs are there; silent when they are.
///
/// # Errors
/// Something is missing and cannot be had.
pub fn ensure(scope: Scope) -> Result<Toolchain> {
    carry_out(scope, Found::look(scope)?, &mut io::stderr())
}

fn tell(plan: &Plan, out: &mut dyn Write) -> Result<()> {
    if plan.is_done() {
        return Ok(writeln!(out, "everything is there")?);
    }
    writeln!(out, "the plan (--dry-run: nothing is changed):")?;
    for (number, step) in (1..).zip(&plan.steps) {
        writeln!(out, "{number:>4}. {}", step.told(&Rights::find()))?;
    }
    if plan.problems.is_empty() {
        Ok(())
    } else {
        bail!(plan.problems_told())
    }
}

/// Plans and works until nothing is left to do. After the package lists were fetched it plans
/// anew: only then is it known what they offer.
fn carry_out(scope: Scope, mut found: Found, out: &mut dyn Write) -> Result<Toolchain> {
    let mut lists_fetched = false;
    for _ in 0..ROUNDS {
        let plan = Plan::make(&found);
        if !plan.problems.is_empty() {
            bail!(plan.problems_told());
        }
        if plan.is_done() {
            return plan.toolchain.context("setup: no toolchain was chosen");
        }
        for step in plan.steps {
            writeln!(out, "==> {}", step.told(&Rights::find()))?;
            step.carry_out()?;
            if matches!(step, Step::UpdateLists { .. }) {
                lists_fetched = true;
                break;
            }
        }
        found = Found::look(scope)?;
        if lists_fetched {
            found.lists = Lists::JustFetched;
        }
    }
    let plan = Plan::make(&found);
    if plan.is_done() {
        return plan.toolchain.context("setup: no toolchain was chosen");
    }
    bail!(
        "setup did all it could, and this is still to do:\n{}",
        plan.steps_told()
    )
}

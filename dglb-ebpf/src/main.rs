//! The XDP program of DGLB: answers the queries that user space has ready answers for.
//!
//! Three programs take a frame through the stages: `dglb` (`read`) is attached, reads the headers, charges
//! the limit, and answers most queries at once (`express`); for the others `dglb_choose` (`choose`) reads
//! question and OPT, finds name, client and answer, and `dglb_reply` (`reply`) writes it.
//! Whatever does not end in an answer is a `dglb_common::counters::Counter` that says why, and its kind
//! is the verdict. Built for `bpfel-unknown-none`; on the host the crate is an empty program, so that
//! `cargo check --workspace` works there.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod choose;
#[cfg(target_arch = "bpf")]
mod client;
#[cfg(target_arch = "bpf")]
mod express;
#[cfg(target_arch = "bpf")]
mod fit;
#[cfg(target_arch = "bpf")]
mod limit;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod names;
#[cfg(target_arch = "bpf")]
mod rankings;
#[cfg(target_arch = "bpf")]
mod read;
#[cfg(target_arch = "bpf")]
mod reply;
#[cfg(target_arch = "bpf")]
mod rows;
#[cfg(target_arch = "bpf")]
mod stage;
#[cfg(target_arch = "bpf")]
mod verdict;
#[cfg(target_arch = "bpf")]
mod watched;

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::{macros::xdp, programs::XdpContext};

    use dglb_common::stage::{CHOOSE, REPLY};

    use crate::{choose, read, reply, stage, verdict};

    /// Answers a DNS query, passes the frame up unaltered, or drops it for a counted reason.
    #[xdp]
    pub fn dglb(ctx: XdpContext) -> u32 {
        let reason = match read::run(&ctx) {
            Ok(Some(row)) => return verdict::answered(row),
            Ok(None) => stage::go_on(&ctx, CHOOSE),
            Err(reason) => reason,
        };
        verdict::not_answered(&ctx, reason)
    }

    /// The second stage.
    #[xdp]
    pub fn dglb_choose(ctx: XdpContext) -> u32 {
        let reason = match choose::run(&ctx) {
            Ok(()) => stage::go_on(&ctx, REPLY),
            Err(reason) => reason,
        };
        verdict::not_answered(&ctx, reason)
    }

    /// The third stage.
    #[xdp]
    pub fn dglb_reply(ctx: XdpContext) -> u32 {
        match reply::run(&ctx) {
            Ok(row) => verdict::answered(row),
            Err(reason) => verdict::not_answered(&ctx, reason),
        }
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        // The verifier refuses a program from which this can be reached, so it never is.
        loop {}
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

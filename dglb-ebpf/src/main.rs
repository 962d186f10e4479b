//! The XDP program of DGLB: answers the queries that user space has ready answers for.
//!
//! `answer::run` takes a frame through the stages; each stage is a file. Whatever does not end in
//! an answer is an `outcome::Outcome`, and the one table from outcome to verdict and counter
//! stands there. Built for `bpfel-unknown-none`; on the host the crate is an empty program, so that
//! `cargo check --workspace` works there.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod answer;
#[cfg(target_arch = "bpf")]
mod edns;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod limit;
#[cfg(target_arch = "bpf")]
mod lookup;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod outcome;
#[cfg(target_arch = "bpf")]
mod question;
#[cfg(target_arch = "bpf")]
mod reply;
#[cfg(target_arch = "bpf")]
mod scratch;

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::{macros::xdp, programs::XdpContext};

    use crate::{answer, outcome};

    /// Answers a DNS query, passes the frame up unaltered, or drops it for a counted reason.
    #[xdp]
    pub fn dglb(ctx: XdpContext) -> u32 {
        outcome::verdict(&ctx, answer::run(&ctx))
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        // The verifier refuses a program from which this can be reached, so it never is.
        loop {}
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

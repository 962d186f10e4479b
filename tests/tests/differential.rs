//! The same frames through two data paths: what the kernel program answers, user space answers with
//! the same octets; what it passes is unaltered; and each answer says what the oracle says. A million
//! frames in all; `cargo xtask fuzz` runs more.

use dglb_common::{query::is_fast_type, stage};
use dglb_tests::{
    frames::Frames,
    fuzz::{
        case::{self, Case},
        corpus,
        path::{self, InKernel, Verdict},
        run::Run,
    },
    oracle::{self, Form},
    world,
};
use dglb_user::kernel::PROGRAM;

/// Where the frames begin; any other is as good.
const SEED: u64 = 0x0dd0_57a7;
/// Frames of all cases together, the corpus and the sweeps not counted.
const FRAMES: usize = 1_000_000;
/// Another number of frames, for slow machines.
const FRAMES_VARIABLE: &str = "DGLB_DIFFERENTIAL_FRAMES";
/// One frame of so many is an answer of any one row, at least.
const FRAMES_FOR_EACH: usize = 1000;
/// The oracle takes its time: it judges one answer of so many.
const JUDGE_EVERY: u64 = 20;

fn compare(name: &str) {
    if !dglb_tests::is_root() {
        return;
    }
    let case = case::by_name(name).expect("a case of this name");
    let kernel = InKernel::load(&case.model).expect("the program loads");
    let before = kernel.counters().expect("counters are there");
    let mut run = Run::new(&case, Some(kernel), JUDGE_EVERY);
    for frame in corpus::load(&corpus::directory(), name).expect("a corpus that can be read") {
        run.check(&frame)
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
    run.sweep(SEED)
        .unwrap_or_else(|failure| panic!("{failure}"));
    let all = all_frames();
    run.random(SEED, all * case.percent / 100)
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{name}: {:?}", run.tally);
    run.check_counters(&before).unwrap();
    run.check_quotas((all / FRAMES_FOR_EACH) as u64).unwrap();
}

fn all_frames() -> usize {
    std::env::var(FRAMES_VARIABLE).map_or(FRAMES, |number| {
        let number = number.parse().ok().filter(|number| *number > 0);
        number.unwrap_or_else(|| panic!("{FRAMES_VARIABLE}: not a number of frames"))
    })
}

/// User space before the oracle, every answer judged.
fn judge(case: &Case) {
    let mut run = Run::new(case, None, 1);
    run.random(SEED, 3000)
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{}: {:?}", case.name, run.tally);
    run.check_quotas(20).unwrap();
}

#[test]
fn user_space_says_what_the_oracle_says() {
    case::all().iter().for_each(judge);
}

#[test]
fn a_dns_b_in_the_kernel_says_what_user_space_says() {
    compare("dns-b");
}

#[test]
fn a_dns_b_in_direct_and_cache_mode_says_what_user_space_says() {
    compare("dns-b-direct");
}

#[test]
fn a_dns_lb_in_the_kernel_says_what_user_space_says() {
    compare("dns-lb");
}

#[test]
fn a_dns_lb_with_several_vantages_says_what_user_space_says() {
    compare("dns-lb-vantages");
}

#[test]
fn a_dns_isp_lb_in_the_kernel_says_what_user_space_says() {
    compare("dns-isp-lb");
}

#[test]
fn nodes_with_many_services_say_what_user_space_says() {
    compare("large-dns-b");
    compare("large-dns-lb");
}

/// The kernel passes nothing on for convenience: of sound queries in its rows, with a type that needs no
/// thought and no more than a few options, it answers nearly all. What is left are labels that nobody
/// has, names of incomplete zones, and answers too large for a slot.
#[test]
fn what_needs_no_thought_is_answered_in_the_kernel() {
    if !dglb_tests::is_root() {
        return;
    }
    for case in case::all() {
        let answerer = path::answerer(&case.model);
        let mut kernel = InKernel::load(&case.model).expect("the program loads");
        let (mut answered, mut left) = (0, 0);
        for frame in Frames::new(&case.model, SEED).take(20_000) {
            let own = answerer.answer_frame(&frame.octets);
            let is_claimed = own.is_some_and(|own| case.claimed.contains(&own.counter));
            if frame.about != "sound" || !is_claimed || needs_thought(&case, &frame.octets) {
                continue;
            }
            match kernel.run(&frame.octets).expect("it runs") {
                Verdict::Reply(_) => answered += 1,
                _ => left += 1,
            }
        }
        println!("{}: {answered} answered, {left} left", case.name);
        assert!(answered > 1000 && left * 5 < answered, "{}", case.name);
    }
}

/// By its type or its options.
fn needs_thought(case: &Case, frame: &[u8]) -> bool {
    /// Octets of queries with more options than the kernel looks at: all those that have so many.
    const MANY_OPTIONS: usize = 100;
    let datagram = oracle::frame::datagram(frame).expect("a datagram");
    let message = datagram.message;
    let Form::Plain(plain) = oracle::form(message, case.model.believes(datagram.source)) else {
        return true;
    };
    let name = plain.query.name().iter().map(|label| 1 + label.len());
    let opt = message.len() - 12 - name.sum::<usize>() - 5;
    let asks_nsid = plain.edns.is_some_and(|edns| edns.nsid);
    !is_fast_type(plain.query.query_type().into()) || asks_nsid || opt > MANY_OPTIONS
}

/// The verifier gives up at a million instructions (`BPF_COMPLEXITY_LIMIT_INSNS`, kernel 5.2). Other
/// kernels count otherwise, so a good part of it stays free.
const MOST_VERIFIED: u32 = 100_000;

#[test]
fn the_verifier_has_room_left() {
    if !dglb_tests::is_root() {
        return;
    }
    let mut kernel = InKernel::load(&world::dns_b()).expect("the program loads");
    let kernel = kernel.kernel();
    let mut sum = 0;
    for name in [PROGRAM].into_iter().chain(stage::PROGRAMS) {
        let program = kernel.program_named(name).expect("it is there");
        let info = program.info().expect("it is loaded");
        let verified = info
            .verified_instruction_count()
            .expect("kernel 5.16 says it");
        println!("{name}: {verified} verified instructions");
        assert!(
            verified > 0 && verified < MOST_VERIFIED,
            "{name}: {verified}"
        );
        sum += verified;
    }
    println!("{sum} in all");
}

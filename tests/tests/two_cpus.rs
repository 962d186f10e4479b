//! Two CPUs at once, different sources, names and sizes on each: never one's octets in the other's answer.

use std::{sync::Barrier, thread};

use dglb_tests::{
    frames::{Frame, Frames},
    fuzz::path::{self, Handle, InKernel, Verdict, pin_to_cpu},
    model::Model,
    world,
};

/// Different frames of each CPU.
const FRAMES: usize = 2000;
/// How often each CPU sends them.
const ROUNDS: usize = 30;

/// Frames that the kernel answers, and the replies that are right.
fn answered(model: &Model, seed: u64) -> Vec<(Frame, Vec<u8>)> {
    let answerer = path::answerer(model);
    let mut kernel = InKernel::load(model).expect("the program loads");
    let mut both = Vec::new();
    for frame in Frames::new(model, seed) {
        let Verdict::Reply(reply) = kernel.run_or_pass(&frame) else {
            continue;
        };
        let own = answerer.answer_frame(&frame.octets).expect("an answer");
        assert_eq!(reply, own.octets, "alone already");
        both.push((frame, reply));
        if both.len() == FRAMES {
            break;
        }
    }
    both
}

trait RunOrPass {
    fn run_or_pass(&mut self, frame: &Frame) -> Verdict;
}

impl RunOrPass for InKernel {
    fn run_or_pass(&mut self, frame: &Frame) -> Verdict {
        self.run(&frame.octets).expect("it runs")
    }
}

fn send(cpu: usize, mut handle: Handle, frames: &[(Frame, Vec<u8>)], start: &Barrier) {
    pin_to_cpu(cpu).expect("this CPU is there");
    start.wait();
    for _ in 0..ROUNDS {
        for (frame, right) in frames {
            let verdict = handle.run(&frame.octets).expect("it runs");
            let Verdict::Reply(reply) = verdict else {
                panic!("CPU {cpu}: {verdict:?} of {}", frame.about);
            };
            assert_eq!(reply, *right, "CPU {cpu}: {}", frame.about);
        }
    }
}

#[test]
fn answers_of_two_cpus_do_not_mix() {
    if !dglb_tests::is_root() {
        return;
    }
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    if cpus < 2 {
        dglb_tests::skip("needs two CPUs");
        return;
    }
    for model in [world::dns_b(), world::dns_lb_vantages()] {
        let mut kernel = InKernel::load(&model).expect("the program loads");
        let handles = [0, 1].map(|_| kernel.handle().expect("a handle"));
        let frames = [1, 2].map(|seed| answered(&model, seed));
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for (cpu, (handle, frames)) in handles.into_iter().zip(&frames).enumerate() {
                let start = &start;
                scope.spawn(move || send(cpu, handle, frames, start));
            }
        });
    }
}

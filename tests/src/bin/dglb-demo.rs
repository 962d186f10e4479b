//! The demo; see [`dglb_tests::demo`].

fn main() -> std::process::ExitCode {
    dglb_tests::demo::main()
}

//! The differential test as a program; see `dglb_tests::fuzz`.

fn main() -> std::process::ExitCode {
    dglb_tests::fuzz::cli::main()
}

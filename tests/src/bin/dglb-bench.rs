//! The benchmark; see [`dglb_tests::bench`].

fn main() -> std::process::ExitCode {
    dglb_tests::bench::cli::main()
}

//! The binary: everything is in the library's `cli` room.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    graft::cli::main()
}

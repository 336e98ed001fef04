//! Proffer, with `--allocator mine`.

fn main() -> std::process::ExitCode {
    proffer::Cli::new().allocator("mine", mine::new).run()
}

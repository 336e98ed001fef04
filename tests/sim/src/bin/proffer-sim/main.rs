//! Runs scenarios, makes those that fail small, and steps through one: `proffer-sim run`, `proffer-sim replay`. And
//! `proffer-sim failover`, which is no scenario, but what a large one costs.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the harness has a clock, threads and files; runs have none"
)]

mod failover;
mod replay;
mod seeds;

use std::io::Write;
use std::process::ExitCode;

use proffer_sim::Sabotage;

const USAGE: &str = "\
runs whole clusters under seeds, each a scenario of its own

    proffer-sim run [--seeds FROM..TO] [--jobs N] [--sabotage NAME]
        Runs every seed from FROM to before TO (1..1001), N at once (as many as there are cores). A run that breaks a
        rule is made small, its trace goes to a file in the current directory, and the command that replays it is shown.

    proffer-sim replay SCENARIO [--from SECONDS] [--only WHO] [--step] [--wide] [--sabotage NAME]
        Shows a run line by line. SCENARIO is a seed, or what `run` printed. WHO is agent-3, host-3, master-0,
        framework-1, store or fault, and may be given more than once. With --step each line waits for Enter; `state WHO`
        shows a node as it is, `run` goes on to the end, `quit` ends. Lines are cut to the screen without --wide.

    proffer-sim failover [--agents N] [--tasks-per-agent N]
        What the core of a new master takes until all agents (40000) with all their tasks (10 each) are back, in seconds
        of the processor, beside the least that can be done with the same messages. Measure with --release.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str);
    let result = match words.next() {
        Some("run") => seeds::Arguments::parse(&mut words).and_then(|arguments| seeds::run(&arguments)),
        Some("replay") => replay::Arguments::parse(&mut words).and_then(replay::run),
        Some("failover") => {
            failover::Arguments::parse(&mut words).and_then(|arguments| failover::run(&arguments))
        }
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(2)
        }
    }
}

/// The value of an option.
fn value<'a>(words: &mut dyn Iterator<Item = &'a str>, option: &str) -> Result<&'a str, String> {
    words.next().ok_or_else(|| format!("{option} needs a value"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn sabotage(text: &str) -> Result<Sabotage, String> {
    let mut all = Sabotage::ALL.into_iter();
    all.find(|sabotage| format!("{sabotage:?}") == text)
        .ok_or_else(|| format!("`{text}` is none of {:?}", Sabotage::ALL))
}

/// Writes a line. Where nobody reads, nobody misses it.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

//! One run, to read.

use std::cell::RefCell;
use std::io::{BufRead, IsTerminal};
use std::rc::Rc;

use proffer_sim::{Case, Options, Reader, Run, Sabotage};

use crate::{number, sabotage, say, value};

/// What fits on a screen, where it is not said that all is wanted.
const COLUMNS: usize = 180;

pub(crate) struct Arguments {
    case: Case,
    from_ms: u64,
    /// As lines begin: `agent 3`.
    only: Vec<String>,
    steps: bool,
    is_wide: bool,
    sabotage: Option<Sabotage>,
}

impl Arguments {
    pub(crate) fn parse(words: &mut dyn Iterator<Item = &str>) -> Result<Self, String> {
        let mut arguments = Self {
            case: value(words, "replay")?.parse()?,
            from_ms: 0,
            only: Vec::new(),
            steps: false,
            is_wide: false,
            sabotage: None,
        };
        while let Some(word) = words.next() {
            match word {
                "--from" => arguments.from_ms = number(value(words, word)?)?.saturating_mul(1_000),
                "--only" => arguments.only.push(value(words, word)?.replacen('-', " ", 1)),
                "--step" => arguments.steps = true,
                "--wide" => arguments.is_wide = true,
                "--sabotage" => arguments.sabotage = Some(sabotage(value(words, word)?)?),
                _ => return Err(format!("`replay` knows no `{word}`")),
            }
        }
        Ok(arguments)
    }

    fn wants(&self, at_ms: u64, text: &str) -> bool {
        let is_meant = |who: &String| {
            let rest = text.strip_prefix(who.as_str());
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        at_ms >= self.from_ms
            && (self.only.is_empty() || text.starts_with("BROKEN") || self.only.iter().any(is_meant))
    }

    fn show(&self, at_ms: u64, text: &str) {
        let time = format!("{:>5}.{:03}  ", at_ms / 1_000, at_ms % 1_000);
        let n_columns = if self.is_wide { usize::MAX } else { COLUMNS };
        let line: String = text.chars().take(n_columns).collect();
        let cut = if line.len() < text.len() { " .." } else { "" };
        say(&format!("{time}{line}{cut}"));
    }
}

/// Whether no rule was broken.
pub(crate) fn run(mut arguments: Arguments) -> Result<bool, String> {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let reader: Reader = {
        let lines = lines.clone();
        Box::new(move |line| lines.borrow_mut().push(line.to_owned()))
    };
    let options = Options {
        case: arguments.case.clone(),
        sabotage: arguments.sabotage,
        hashes: false,
    };
    let mut run = Run::new(options, Some(reader));
    loop {
        let goes_on = run.turn();
        for line in lines.take() {
            let (at, text) = line.trim_start().split_once(' ').unwrap_or(("0", &line));
            let at_ms = number(at)?;
            if arguments.wants(at_ms, text) {
                arguments.show(at_ms, text);
                if arguments.steps && !wait(&mut arguments, &run)? {
                    return Ok(true);
                }
            }
        }
        if !goes_on {
            break;
        }
    }
    let report = run.report();
    let simulated = report.simulated.as_secs_f64();
    match &report.violation {
        None => say(&format!(
            "{} lines, {simulated:.0} s: every rule holds",
            report.n_lines
        )),
        Some(violation) => say(&format!("{violation}")),
    }
    Ok(report.violation.is_none())
}

/// Takes orders until it is to go on; false when it is not to.
fn wait(arguments: &mut Arguments, run: &Run) -> Result<bool, String> {
    let stdin = std::io::stdin();
    loop {
        let mut line = String::new();
        let n_bytes = stdin
            .lock()
            .read_line(&mut line)
            .map_err(|error| format!("stdin: {error}"))?;
        if !stdin.is_terminal() && n_bytes > 0 {
            say(&format!("> {}", line.trim()));
        }
        let (order, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match order {
            "" if n_bytes > 0 => return Ok(true),
            "run" => {
                arguments.steps = false;
                return Ok(true);
            }
            "" | "quit" => return Ok(false),
            "state" => match run.state(&rest.replacen('-', " ", 1)) {
                Some(state) => say(&state),
                None => say(&format!("nobody is called `{rest}`")),
            },
            _ => say("Enter, `state WHO`, `run` or `quit`"),
        }
    }
}

//! The answer of a command on stdout: a table that fits the terminal, or stable JSON or YAML.

mod table;

use std::future::Future;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use console::Term;
use serde::{Serialize, Serializer};

use crate::failure::output_error;

pub(crate) use table::{Column, left, printable, render, right};

/// How often `--watch` asks again.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// The form of the answer
    #[arg(
        short,
        long,
        env = "PROFFER_OUTPUT",
        value_enum,
        default_value = "table",
        value_name = "FORM"
    )]
    output: Format,
    /// Ask again every second
    #[arg(short, long, env = "PROFFER_WATCH")]
    watch: bool,
}

impl OutputArgs {
    /// Whether to ask over and over.
    pub(crate) fn is_watched(self) -> bool {
        self.watch
    }

    /// Whether it is for people.
    pub(crate) fn is_table(self) -> bool {
        self.output == Format::Table
    }
}

/// Something that can be shown in every form.
pub(crate) trait Answer: Serialize {
    /// For a person; lines of at most `width` columns, each ended by a newline.
    fn text(&self, width: usize) -> String;
}

/// A line of a table, and an object of JSON.
pub(crate) trait Row: Serialize {
    const COLUMNS: &'static [Column];
    /// One cell a column.
    fn cells(&self) -> Vec<String>;
}

/// A list of like things.
#[derive(Debug)]
pub(crate) struct Rows<T>(pub(crate) Vec<T>);

impl<T: Serialize> Serialize for Rows<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T: Row> Answer for Rows<T> {
    fn text(&self, width: usize) -> String {
        render(
            T::COLUMNS,
            &self.0.iter().map(Row::cells).collect::<Vec<_>>(),
            width,
        )
    }
}

/// Asks once and shows the answer; with `--watch`, over and over.
pub(crate) async fn show<A: Answer, F: Future<Output = Result<A>>>(
    args: OutputArgs,
    mut ask: impl FnMut() -> F,
) -> Result<u8> {
    let terminal = Term::stdout();
    loop {
        let text = form(args.output, &ask().await?, &terminal)?;
        if args.watch && terminal.is_term() {
            terminal.clear_screen().map_err(output_error)?;
        }
        print(&text)?;
        if !args.watch {
            return Ok(0);
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// What is shown of something that goes on.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) text: String,
    /// Nothing of it changes any more.
    pub(crate) is_last: bool,
}

/// As [`show`] in the form for people, for what has an end: with `is_watched` until then.
pub(crate) async fn show_scenes<F: Future<Output = Result<Scene>>>(
    is_watched: bool,
    mut ask: impl FnMut(usize) -> F,
) -> Result<u8> {
    let terminal = Term::stdout();
    loop {
        let scene = ask(width(&terminal)).await?;
        if is_watched && terminal.is_term() {
            terminal.clear_screen().map_err(output_error)?;
        }
        print(&scene.text)?;
        if !is_watched || scene.is_last {
            return Ok(0);
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

fn form(format: Format, answer: &impl Answer, terminal: &Term) -> Result<String> {
    Ok(match format {
        Format::Table => answer.text(width(terminal)),
        Format::Json => serde_json::to_string_pretty(answer)? + "\n",
        Format::Yaml => serde_saphyr::to_string(answer)?,
    })
}

/// The columns of stdout; lines into a pipe or file are never cut.
pub(crate) fn terminal_width() -> usize {
    width(&Term::stdout())
}

/// Lines into a pipe or file are never cut.
fn width(terminal: &Term) -> usize {
    match terminal.size_checked() {
        Some((_, columns)) if terminal.is_term() => usize::from(columns),
        Some(_) | None => usize::MAX,
    }
}

/// Writes an answer to stdout.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(output_error)
}

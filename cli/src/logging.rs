//! The program's own log, on stderr.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or filters such as `info,proffer_master=debug`
    #[arg(long, env = "PROFFER_LOG", global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// The form of log lines
    #[arg(
        long,
        env = "PROFFER_LOG_FORMAT",
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORM"
    )]
    pub(crate) log_format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl LogArgs {
    /// The same settings as arguments for another process of this program.
    pub(crate) fn pass_on(&self) -> impl Iterator<Item = String> {
        let level = self
            .log_level
            .iter()
            .flat_map(|level| ["--log-level".to_owned(), level.clone()]);
        let format = self.log_format.to_possible_value();
        let format = format
            .into_iter()
            .flat_map(|value| ["--log-format".to_owned(), value.get_name().to_owned()]);
        level.chain(format)
    }

    /// Starts logging. A client that was not asked to logs nothing; `default` is what a daemon logs unasked.
    pub(crate) fn start(&self, default: Option<&str>) -> Result<(), String> {
        let Some(level) = self.log_level.as_deref().or(default) else {
            return Ok(());
        };
        let filter = EnvFilter::try_new(level).map_err(|error| format!("--log-level `{level}`: {error}"))?;
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            // It tells of a line it cannot write on stderr, which panics when that is where it could not: a full disk
            // under a daemon's log must not end the daemon.
            .log_internal_errors(false);
        match self.log_format {
            LogFormat::Text => subscriber.with_ansi(console::Term::stderr().is_term()).init(),
            LogFormat::Json => subscriber.json().init(),
        }
        Ok(())
    }
}

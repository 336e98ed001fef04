//! `--config FILE.toml`: the flags of master and agent, under the same names, in a file.
//!
//! What the file says becomes the default of the flag, so that a flag beats an environment variable, which beats the
//! file, and every value is checked by the same code wherever it comes from.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::builder::OsStr;
use clap::{Command, CommandFactory as _, FromArgMatches as _};
use toml::{Table, Value};

use crate::commands::CommandLine;
use crate::failure::WrongUse;

/// The largest file read: far more than all flags need.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the command line once more, with a file's settings as defaults for the subcommand `name`.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    name: &str,
    file: &Path,
) -> Result<CommandLine> {
    let size = fs::metadata(file)
        .with_context(|| format!("cannot read {}", file.display()))?
        .len();
    let shown = file.display();
    if size > MAX_FILE_BYTES {
        return Err(WrongUse(format!("{shown} is larger than {MAX_FILE_BYTES} bytes")).into());
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let table: Table = toml::from_str(&text).map_err(|error| WrongUse(format!("{shown}: {error}")))?;
    let mut command = CommandLine::command();
    for (key, value) in table {
        let values =
            values(&value).ok_or_else(|| WrongUse(format!("{shown}: `{key}` takes no table or date")))?;
        command = with_default(command, name, &key, values).map_err(|known| {
            WrongUse(format!(
                "{shown}: unknown key `{key}`; it may be one of {}",
                known.join(", ")
            ))
        })?;
    }
    let matches = command.try_get_matches_from(args);
    let parsed = matches.and_then(|matches| CommandLine::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let message = error.to_string();
        WrongUse(format!(
            "with the settings of {shown}: {}",
            message.trim_start_matches("error: ").trim_end()
        ))
        .into()
    })
}

/// Sets the default of a flag of the subcommand, or of the program. Fails with the keys there are.
fn with_default(
    command: Command,
    name: &str,
    key: &str,
    values: Vec<String>,
) -> std::result::Result<Command, Vec<String>> {
    let flags = |command: &Command| -> Vec<String> {
        let longs = command.get_arguments().filter_map(|arg| arg.get_long());
        longs
            .filter(|long| !matches!(*long, "config" | "help" | "version"))
            .map(str::to_owned)
            .collect()
    };
    let own = command.find_subcommand(name).map(flags).unwrap_or_default();
    let values: Vec<OsStr> = values.into_iter().map(OsStr::from).collect();
    // Derived ids are the long name with underscores.
    let id = key.replace('-', "_");
    if own.iter().any(|flag| flag == key) {
        return Ok(command.mut_subcommand(name, |sub| sub.mut_arg(id, |arg| arg.default_values(values))));
    }
    let common = flags(&command);
    if common.iter().any(|flag| flag == key) {
        return Ok(command.mut_arg(id, |arg| arg.default_values(values)));
    }
    Err(own.into_iter().chain(common).collect())
}

fn values(value: &Value) -> Option<Vec<String>> {
    Some(match value {
        Value::String(text) => vec![text.clone()],
        Value::Integer(number) => vec![number.to_string()],
        Value::Float(number) => vec![number.to_string()],
        Value::Boolean(yes) => vec![yes.to_string()],
        Value::Array(items) => items.iter().map(values).collect::<Option<Vec<_>>>()?.concat(),
        Value::Datetime(_) | Value::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::commands::Command as Sub;

    fn parse_with(text: &str, args: &[&str]) -> Result<CommandLine> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        let path = file.path().to_string_lossy().into_owned();
        let all = ["proffer", "agent", "--config", &path]
            .into_iter()
            .chain(args.iter().copied());
        parse(all.map(OsString::from), "agent", file.path())
    }

    #[test]
    fn a_flag_beats_the_file() {
        let text = "data-dir = '/d'\nmaster = ['a:1', 'b:2']\nlisten = '127.0.0.1:7'\nkill-tasks-on-stop = true\nlog-level = 'warn'\n";
        let cli = parse_with(text, &["--listen", "127.0.0.1:8"]).unwrap();
        assert_eq!(cli.log.log_level.as_deref(), Some("warn"));
        let Sub::Agent(agent) = cli.command else {
            panic!("not agent")
        };
        let config = agent.config().unwrap();
        assert_eq!(config.masters, ["a:1", "b:2"]);
        assert_eq!(config.listen.port(), 8);
        assert_eq!(config.data_dir, Path::new("/d"));
        assert!(config.kill_tasks_on_stop);
    }

    #[test]
    fn an_unknown_key_or_a_bad_value_is_refused() {
        let unknown = parse_with("colour = 'blue'\n", &[]).unwrap_err().to_string();
        assert!(
            unknown.contains("unknown key `colour`") && unknown.contains("data-dir"),
            "{unknown}"
        );
        let bad = parse_with("data-dir = '/d'\nresources = 'cpus:-3'\n", &[]).unwrap_err();
        assert!(bad.to_string().contains("-3"), "{bad}");
        assert_eq!(crate::failure::exit_code(&bad), 2);
        assert!(parse_with("data-dir = [\n", &[]).is_err());
    }
}

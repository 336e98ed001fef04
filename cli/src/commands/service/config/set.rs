//! `proffer service config set`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::{WrongUse, refused};
use crate::output::print;

/// A config has at most 1 MiB.
const MAX_BYTES: u64 = 1 << 20;

/// Create a config, or replace all that it has
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// NAME, or NAME.NAMESPACE
    name: String,
    /// KEY=VALUE, KEY=@FILE, or @FILE for a key of the file's name; `@-` is stdin. What is not given is not there any more
    #[arg(value_name = "ENTRY")]
    entries: Vec<String>,
    /// Its values are told to agents that run tasks which use it, and never shown
    #[arg(long, env = "PROFFER_SECRET")]
    secret: bool,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn set(args: SetArgs) -> Result<u8> {
    let mut entries = BTreeMap::new();
    for text in &args.entries {
        let (key, value) = entry(text)?;
        if entries.insert(key.clone(), value).is_some() {
            return Err(WrongUse(format!("the key `{key}` is given twice")).into());
        }
    }
    let cluster = Cluster::connect(&args.master).await?;
    let config = v1::Config {
        name: args.name.clone(),
        entries,
        secret: args.secret,
    };
    let what = apply(&cluster, config).await?;
    print(&format!("{} {what}\n", args.name))?;
    Ok(0)
}

/// Applies a config, and says what became of it.
pub(in crate::commands::service) async fn apply(cluster: &Cluster, config: v1::Config) -> Result<String> {
    let request = v1::ApplyConfigRequest { config: Some(config) };
    let answer = cluster.configs().apply_config(request).await;
    let v1::ApplyConfigResponse {
        created,
        revision,
        deploys,
    } = answer.map_err(|status| refused(&status))?.into_inner();
    let what = if created { "created" } else { "applied" };
    let deploys = match deploys.is_empty() {
        true => String::new(),
        false => format!(", deploys {}", deploys.join(", ")),
    };
    Ok(format!("{what}, revision {revision}{deploys}"))
}

/// One entry of the command line.
fn entry(text: &str) -> Result<(String, Vec<u8>)> {
    if let Some(file) = text.strip_prefix('@') {
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        let name = name.filter(|_| file != "-").ok_or_else(|| {
            WrongUse(format!(
                "`{text}` has no name that could be a key; say KEY={text}"
            ))
        })?;
        return Ok((name.to_owned(), content(file)?));
    }
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| WrongUse(format!("`{text}` is not KEY=VALUE, KEY=@FILE or @FILE")))?;
    let value = match value.strip_prefix('@') {
        Some(file) => content(file)?,
        None => value.as_bytes().to_vec(),
    };
    Ok((key.to_owned(), value))
}

fn content(file: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes),
        file => File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("cannot read `{file}`"))?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(WrongUse(format!("`{file}` has more than {MAX_BYTES} bytes")).into()),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_text_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.conf");
        std::fs::write(&file, "x=1\n").unwrap();
        let path = file.display();
        let read = |text: String| entry(&text).unwrap();
        assert_eq!(read("a=b=c".to_owned()), ("a".to_owned(), b"b=c".to_vec()));
        assert_eq!(read("a=".to_owned()), ("a".to_owned(), Vec::new()));
        assert_eq!(read(format!("a=@{path}")), ("a".to_owned(), b"x=1\n".to_vec()));
        assert_eq!(
            read(format!("@{path}")),
            ("app.conf".to_owned(), b"x=1\n".to_vec())
        );
        for wrong in ["a", "@-", "@/none", "a=@/none"] {
            assert!(entry(wrong).is_err(), "{wrong}");
        }
    }
}

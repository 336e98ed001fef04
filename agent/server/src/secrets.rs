//! The operator's secrets: files of a directory, or what a program prints.
//!
//! A value is read when a task needs it, and only held until that task's container runs. It is never written, logged or
//! quoted in an error.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use proffer_fetch::within::Within;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// The largest secret, in bytes: a key or a certificate chain, with room to spare.
const MAX_SECRET_BYTES: u64 = 1 << 20;

/// The longest name, in bytes (`NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;

/// How long the resolver may take: a round trip to a vault, not a person.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where secrets come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    dir: Option<PathBuf>,
    resolver: Option<PathBuf>,
}

impl Secrets {
    pub(crate) fn new(dir: Option<PathBuf>, resolver: Option<PathBuf>) -> Self {
        Self { dir, resolver }
    }

    /// The value of a secret: of the directory, or else of the resolver.
    pub(crate) async fn get(&self, name: &str) -> Result<Vec<u8>, String> {
        if !is_name(name) {
            return Err(format!("`{}` is no name of a secret", name.escape_debug()));
        }
        let fail = |why: String| format!("the secret `{name}` cannot be had: {why}");
        if let Some(dir) = &self.dir {
            let (dir, file) = (dir.clone(), name.to_owned());
            let read = tokio::task::spawn_blocking(move || read(&dir, &file)).await;
            match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(value) => return Ok(value),
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.resolver.is_some() => {}
                Err(error) => return Err(fail(format!("{error} (in the directory of --secrets)"))),
            }
        }
        match &self.resolver {
            Some(resolver) => resolve(resolver, name).await.map_err(fail),
            None => Err(fail(
                "this agent has none (--secrets, --secret-resolver)".to_owned(),
            )),
        }
    }
}

/// Letters, digits, `-`, `_` and `.`, not beginning with a dot or a dash: nothing a path or an argument means more by.
fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(is_good) && !name.starts_with(['.', '-'])
}

fn read(dir: &Path, name: &str) -> io::Result<Vec<u8>> {
    let file = Within::open(dir)?.read(Path::new(name))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut value = Vec::new();
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut value)?;
    bounded(value).map_err(io::Error::other)
}

fn bounded(value: Vec<u8>) -> Result<Vec<u8>, String> {
    match value.len() as u64 > MAX_SECRET_BYTES {
        true => Err(format!("it is larger than {MAX_SECRET_BYTES} bytes")),
        false => Ok(value),
    }
}

/// What a program prints that is called with the name. What it says on stderr goes to the agent's own: it could quote
/// the value.
async fn resolve(program: &Path, name: &str) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot run `{}`: {error}", program.display());
    let mut child = Command::new(program)
        .arg(name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot)?;
    let printed = child.stdout.take();
    let run = async {
        let mut value = Vec::new();
        if let Some(printed) = printed {
            printed.take(MAX_SECRET_BYTES + 1).read_to_end(&mut value).await?;
        }
        // One that is cut off must not wait for a reader for ever.
        let value = bounded(value);
        Ok::<_, io::Error>((value, child.wait().await?))
    };
    let ended = tokio::time::timeout(RESOLVE_TIMEOUT, run).await;
    let ended = ended.map_err(|_| format!("`{}` took longer than {RESOLVE_TIMEOUT:?}", program.display()))?;
    let (value, status) = ended.map_err(cannot)?;
    match status.success() {
        true => value,
        false => Err(format!("`{}` ended with {status}", program.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[tokio::test]
    async fn a_secret_is_a_plain_file_of_the_directory_or_what_the_resolver_prints() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        fs::create_dir(&vault).unwrap();
        fs::write(vault.join("key"), "value\n").unwrap();
        fs::write(vault.join("big"), vec![b'x'; (1 << 20) + 1]).unwrap();
        fs::write(dir.path().join("outside"), "outside").unwrap();
        symlink("../outside", vault.join("link")).unwrap();
        let secrets = Secrets::new(Some(vault.clone()), None);
        assert_eq!(secrets.get("key").await.unwrap(), b"value\n");
        for bad in ["none", "link", "big", "../outside", ".", "-h", ""] {
            let error = secrets.get(bad).await.unwrap_err();
            assert!(
                !error.contains("xxxx") && error.contains(&format!("`{bad}`")),
                "{error}"
            );
        }

        let resolver = dir.path().join("resolver");
        fs::write(
            &resolver,
            "#!/bin/sh\ntest \"$1\" != fails && printf 'of %s' \"$1\"\n",
        )
        .unwrap();
        fs::set_permissions(&resolver, fs::Permissions::from_mode(0o755)).unwrap();
        let secrets = Secrets::new(Some(vault), Some(resolver));
        assert_eq!(secrets.get("key").await.unwrap(), b"value\n");
        assert_eq!(secrets.get("other").await.unwrap(), b"of other");
        let error = secrets.get("fails").await.unwrap_err();
        assert!(error.contains("exit status: 1"), "{error}");
    }
}

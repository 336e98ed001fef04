//! Runs of `nft`, each one transaction.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// A run takes milliseconds, with thousands of elements a second. Past this the host is in trouble.
const RUN_TIMEOUT: Duration = Duration::from_secs(20);
/// What of a complaint is shown.
const MAX_COMPLAINT_BYTES: usize = 300;
/// Where it is when it is not on the PATH.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Why rules were not changed.
#[derive(Debug, Error)]
pub(crate) enum NftError {
    #[error("`nft` is not installed (package nftables)")]
    Missing,
    #[error("cannot run nft: {0}")]
    Run(#[from] io::Error),
    #[error("nft refused: {0}")]
    Refused(String),
    #[error("nft did not end within {} s", RUN_TIMEOUT.as_secs())]
    TimedOut,
}

/// Does what a script says, or nothing.
pub(crate) async fn run(script: &str) -> Result<(), NftError> {
    with(&["-f", "-"], script).await
}

/// Whether there is a set; to look for one is cheap, however large its table is.
pub(crate) async fn has_set(name: &str) -> bool {
    let words: Vec<_> = ["list", "set"].into_iter().chain(name.split(' ')).collect();
    with(&words, "").await.is_ok()
}

async fn with(args: &[&str], input: &str) -> Result<(), NftError> {
    for program in PROGRAMS {
        let ended = timeout(RUN_TIMEOUT, feed(program, args, input)).await;
        match ended.map_err(|_| NftError::TimedOut)? {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => return Err(NftError::Refused(complaint(&output))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(NftError::Missing)
}

async fn feed(program: &str, args: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why on its standard error.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    child.wait_with_output().await
}

fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        text = output.status.to_string();
    }
    text.truncate(text.floor_char_boundary(MAX_COMPLAINT_BYTES));
    text
}

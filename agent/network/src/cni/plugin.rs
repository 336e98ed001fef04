//! One call of a CNI plugin: a program with a few variables, JSON in, JSON out.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{CniError, Target};

/// The longest call: plugins may ask a daemon or a DHCP server. As long as a container may take to start elsewhere.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// The largest result.
const MAX_RESULT_BYTES: u64 = 1 << 20;

/// What is shown of what a plugin says.
const MAX_COMPLAINT_BYTES: usize = 1000;

/// Where plugins find the tools of their own (iptables, ip) when the agent's PATH does not say.
const MORE_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Add,
    Del,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
        }
    }
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) verb: Verb,
    pub(super) plugin: &'a str,
    pub(super) program: PathBuf,
    pub(super) dirs: &'a [PathBuf],
    pub(super) target: Target<'a>,
    pub(super) interface: &'static str,
    pub(super) input: Vec<u8>,
    pub(super) timeout: Duration,
}

/// What a plugin says when it fails (specification 1.0, section 5).
#[derive(Debug, Deserialize)]
struct Complaint {
    code: u32,
    msg: String,
    #[serde(default)]
    details: String,
}

/// Finds a plugin's program.
pub(super) fn find(dirs: &[PathBuf], plugin: &str) -> Result<PathBuf, CniError> {
    let mut paths = dirs.iter().map(|dir| dir.join(plugin));
    paths
        .find(|path| path.is_file())
        .ok_or_else(|| CniError::NoPlugin {
            plugin: plugin.to_owned(),
            dirs: dirs
                .iter()
                .map(|dir| format!("`{}`", dir.display()))
                .collect::<Vec<_>>()
                .join(", "),
        })
}

impl Call<'_> {
    /// Returns what the plugin printed. Does not outlive the time limit, nor does the plugin, with what it started.
    pub(super) async fn run(self) -> Result<Vec<u8>, CniError> {
        let failed = |source| CniError::Run {
            plugin: self.plugin.to_owned(),
            source,
        };
        let mut child = self.command().spawn().map_err(failed)?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let ended = tokio::time::timeout(self.timeout, talk(&mut child, &self.input)).await;
        if let (Err(_) | Ok(Err(_)), Some(group)) = (&ended, group) {
            // Not reaped yet, so the number is still its own.
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait().await;
        }
        let (status, output, errors) = ended
            .map_err(|_| CniError::TimedOut {
                plugin: self.plugin.to_owned(),
                verb: self.verb.word(),
                after: self.timeout,
            })?
            .map_err(failed)?;
        if status.success() {
            return Ok(output);
        }
        Err(CniError::Failed {
            plugin: self.plugin.to_owned(),
            verb: self.verb.word(),
            why: why(status, &output, &errors),
        })
    }

    fn command(&self) -> Command {
        let join = |dirs: &[PathBuf]| env::join_paths(dirs).unwrap_or_default();
        let mut path = env::var_os("PATH").unwrap_or_default();
        path.push(":");
        path.push(MORE_PATH);
        let namespace = match self.target.namespace.exists() {
            true => self.target.namespace,
            // What is gone need not be named (specification 1.0, DEL).
            false => Path::new(""),
        };
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .envs([
                ("PATH", path),
                ("CNI_COMMAND", OsString::from(self.verb.word())),
                ("CNI_CONTAINERID", self.target.network_id.into()),
                ("CNI_NETNS", namespace.into()),
                ("CNI_IFNAME", self.interface.into()),
                ("CNI_PATH", join(self.dirs)),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

async fn talk(child: &mut Child, input: &[u8]) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that ends without reading says why.
            let _ = stdin.write_all(input).await;
        }
        Ok(())
    };
    let ((), output, errors) = tokio::try_join!(
        write,
        read(stdout, MAX_RESULT_BYTES),
        read_some(stderr, MAX_COMPLAINT_BYTES as u64),
    )?;
    Ok((child.wait().await?, output, errors))
}

async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limit + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it printed more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Reads to the end, and keeps the beginning.
async fn read_some(from: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(limit).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// The beginning of what a plugin says, for people.
pub(super) fn shortened(mut text: String) -> String {
    if text.len() > MAX_COMPLAINT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_COMPLAINT_BYTES));
        text.push_str("..");
    }
    text
}

/// Why a plugin failed, by what it printed.
pub(super) fn why(status: ExitStatus, output: &[u8], errors: &[u8]) -> String {
    if let Ok(Complaint { code, msg, details }) = serde_json::from_slice(output) {
        let details = if details.is_empty() {
            details
        } else {
            format!("; {details}")
        };
        return shortened(format!("{msg} (code {code}){details}"));
    }
    let errors = String::from_utf8_lossy(errors);
    let errors = errors.trim();
    if errors.is_empty() {
        status.to_string()
    } else {
        format!("{status}: {errors}")
    }
}

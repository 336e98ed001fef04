//! A network of its own for daemons that believe whoever reaches them, or listen on every address: a namespace with nothing but
//! loopback, held by a process of ours.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// Of those for documentation (RFC 5737). With loopback's alone, getaddrinfo(3) finds no address at all where it is asked with
/// AI_ADDRCONFIG, as Slurm does.
const ADDRESS: &str = "192.0.2.1";

#[derive(Debug)]
pub(super) struct Enclosed {
    holder: Child,
}

impl Enclosed {
    pub(super) fn new() -> Result<Self> {
        let arrange = format!(
            "ip link set lo up && ip address add {ADDRESS}/32 dev lo && echo ready && exec sleep infinity"
        );
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", &arrange])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut ready = [0; 5];
        let stdout = holder.stdout.as_mut().context("no stdout")?;
        let arranged = stdout.read_exact(&mut ready);
        let enclosed = Self { holder };
        arranged.context("cannot make a network namespace")?;
        Ok(enclosed)
    }

    /// A program in there; its pid is that of the command, since nsenter becomes it.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .arg("--")
            .arg(program.as_ref())
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Enclosed {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

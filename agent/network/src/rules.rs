//! Packet rules of the bridge: what is masqueraded, and which port of the host leads where.
//!
//! All of them are in one table of the agent's own, and a published port is one element of a map in it, so what a
//! packet costs does not grow with the number of ports. Changes are made by `nft`, many in one run: a run costs two
//! milliseconds, and the kernel takes longer over a removal, however many elements it is of.

use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::io;
use std::net::Ipv4Addr;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::config::{Subnet, Tag};
use crate::error::RulesError;
use crate::request::Port;

/// A run takes milliseconds. Past this the host is in trouble.
const RUN_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two looks at whether an earlier agent's run has ended, which takes milliseconds.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// The most changes of one run, so that one that fails is looked for among few.
const MAX_BATCH: usize = 64;

/// More than containers that are prepared at once; beyond it they wait.
const MAX_QUEUED: usize = 256;

/// What of a complaint is shown.
const MAX_COMPLAINT_BYTES: usize = 500;

/// Where `nft` is when it is not on the agent's PATH.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// A published port: one element of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) port: Port,
    pub(crate) address: Ipv4Addr,
}

/// The table.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    table: String,
    queue: mpsc::Sender<Change>,
}

#[derive(Debug)]
struct Change {
    script: String,
    done: oneshot::Sender<Result<(), RulesError>>,
}

impl Rules {
    /// Changes nothing yet. Must be called on a runtime. Every run has `lock` open, so that one which outlives its agent
    /// keeps the next agent from changing anything before it is done.
    pub(crate) fn new(tag: &Tag, lock: File) -> Self {
        let (queue, changes) = mpsc::channel(MAX_QUEUED);
        tokio::spawn(run_all(changes, lock));
        Self {
            table: format!("proffer_{tag}"),
            queue,
        }
    }

    /// Makes the table anew, with these elements and no others. Connections that are redirected already go on.
    pub(crate) async fn reset(
        &self,
        bridge: &str,
        subnet: Subnet,
        elements: &[Element],
    ) -> Result<(), RulesError> {
        let mut script = table(&self.table, bridge, subnet);
        script += &self.added(elements);
        self.change(script).await
    }

    /// Removes the table; one that is not there is no error.
    pub(crate) async fn remove(&self) -> Result<(), RulesError> {
        let table = &self.table;
        self.change(format!("add table inet {table}\ndelete table inet {table}\n"))
            .await
    }

    pub(crate) async fn add(&self, elements: &[Element]) -> Result<(), RulesError> {
        if elements.is_empty() {
            return Ok(());
        }
        self.change(self.added(elements)).await
    }

    /// Those that are not there are no error, nor is a table that is not.
    pub(crate) async fn delete(&self, elements: &[Element]) -> Result<(), RulesError> {
        if elements.is_empty() {
            return Ok(());
        }
        // Deleting what is not there fails, adding what is there does not.
        let mut script = self.added(elements);
        for Element { port, .. } in elements {
            let (table, transport, host) = (&self.table, port.transport, port.host);
            let _ = writeln!(
                script,
                "delete element inet {table} ports {{ {transport} . {host} }}"
            );
        }
        match self.change(script).await {
            Err(error) if error.is_no_table() => Ok(()),
            result => result,
        }
    }

    fn added(&self, elements: &[Element]) -> String {
        let mut script = String::new();
        for Element { port, address } in elements {
            let (table, transport, host, container) =
                (&self.table, port.transport, port.host, port.container);
            let _ = writeln!(
                script,
                "add element inet {table} ports {{ {transport} . {host} : {address} . {container} }}"
            );
        }
        script
    }

    async fn change(&self, script: String) -> Result<(), RulesError> {
        let (done, outcome) = oneshot::channel();
        let queued = self.queue.send(Change { script, done }).await;
        queued.map_err(|_| RulesError::Stopping)?;
        outcome.await.map_err(|_| RulesError::Stopping)?
    }
}

impl RulesError {
    /// Whether somebody removed the table (`nft flush ruleset`).
    pub(crate) fn is_no_table(&self) -> bool {
        matches!(self, Self::Refused(complaint) if complaint.contains("No such file or directory"))
    }

    /// Whether a port leads elsewhere already.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Refused(complaint) if complaint.contains("File exists"))
    }
}

/// The whole table but for the elements of its map.
///
/// A packet for an address of the host itself and a published port goes to the container, whether it comes from
/// outside, from another container, or from the host itself; also to 127.0.0.1, which the bridge therefore has to let
/// out (`route_localnet`). So that this lets nobody in, what containers send to 127.0.0.0/8 is dropped. Whoever goes to
/// a container by way of the host, from the bridge or from 127.0.0.1, gets the bridge's address, so that the answer
/// comes back the same way.
fn table(table: &str, bridge: &str, subnet: Subnet) -> String {
    format!(
        r#"add table inet {table}
delete table inet {table}
table inet {table} {{
    map ports {{
        type inet_proto . inet_service : ipv4_addr . inet_service
    }}
    chain raw {{
        type filter hook prerouting priority -300; policy accept;
        iifname "{bridge}" ip daddr 127.0.0.0/8 drop
    }}
    chain prerouting {{
        type nat hook prerouting priority -100; policy accept;
        fib daddr type local dnat ip to meta l4proto . th dport map @ports
    }}
    chain output {{
        type nat hook output priority -100; policy accept;
        fib daddr type local dnat ip to meta l4proto . th dport map @ports
    }}
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        ip saddr {subnet} oifname != "{bridge}" masquerade
        oifname "{bridge}" ct status dnat ip saddr {{ {subnet}, 127.0.0.0/8 }} masquerade
    }}
}}
"#
    )
}

async fn run_all(mut changes: mpsc::Receiver<Change>, lock: File) {
    let locked = tokio::time::timeout(RUN_TIMEOUT, take(&lock)).await;
    if locked.is_err() {
        warn!("a run of nft that an earlier agent started does not end");
    }
    let mut batch = Vec::new();
    while changes.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let script: String = batch.iter().map(|change| change.script.as_str()).collect();
        let whole = run(&script, &lock).await;
        let is_one = batch.len() == 1;
        if whole.is_ok() || is_one {
            let mut outcome = Some(whole);
            for change in batch.drain(..) {
                // Nobody waiting is nobody's loss.
                let _ = change.done.send(outcome.take().unwrap_or(Ok(())));
            }
            continue;
        }
        // A run is all or nothing: those that are right must not fail for one that is not.
        for change in batch.drain(..) {
            let _ = change.done.send(run(&change.script, &lock).await);
        }
    }
}

/// Takes the lock, once nobody has it any more.
async fn take(lock: &File) {
    while let Err(TryLockError::WouldBlock) = lock.try_lock() {
        tokio::time::sleep(LOCK_RETRY).await;
    }
}

async fn run(script: &str, lock: &File) -> Result<(), RulesError> {
    for program in PROGRAMS {
        let ended = tokio::time::timeout(RUN_TIMEOUT, feed(program, script, lock)).await;
        let after = RUN_TIMEOUT;
        match ended.map_err(|_| RulesError::TimedOut { after })? {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => return Err(RulesError::Refused(complaint(&output))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(RulesError::Run { source }),
        }
    }
    Err(RulesError::Missing)
}

async fn feed(program: &str, script: &str, lock: &File) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(["-f", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        // It says nothing there.
        .stdout(lock.try_clone()?)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why on its standard error.
        let _ = stdin.write_all(script.as_bytes()).await;
    }
    child.wait_with_output().await
}

fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        text = output.status.to_string();
    }
    let end = text.floor_char_boundary(MAX_COMPLAINT_BYTES);
    text.truncate(end);
    text
}

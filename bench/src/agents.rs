//! Simulated agents: a process of its own that speaks the agents' protocol, one connection an agent.
//!
//! Of an agent it has the link and nothing else: it dials, registers with all it runs, tells how tasks are and waits to be
//! acknowledged, sends heartbeats, and dials again with the pauses of the real agent, after the leader that it is told.
//! Containers, checkpoints and clocks are missing. It obeys lines on its stdin, and ends with it:
//!
//! | line | answer |
//! |---|---|
//! | `count` | one line of numbers, see [`Counts`] |
//! | `updates on`, `updates off` | none; while on, each running task has a status to tell as soon as the last is acknowledged |

mod link;
mod task;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout};
use tokio::sync::watch;

/// How many and which agents a process plays.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentsArgs {
    /// Masters, `host:port`.
    #[arg(long, value_delimiter = ',', hide = true, default_value = "")]
    pub(crate) master: Vec<String>,
    #[arg(long, hide = true, default_value_t = 1)]
    pub(crate) count: u32,
    /// Goes into the host names, so that two processes do not play the same agents.
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) first: u32,
    /// Tasks of one core and 1 GiB that each has room for.
    #[arg(long, hide = true, default_value_t = 1)]
    pub(crate) slots: u32,
    /// How long a task runs, in milliseconds; 0 means for ever.
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) lifetime_ms: u64,
}

/// What a process of agents has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Agents with a session.
    pub(crate) n_up: u64,
    /// When the last of all agents had one, in microseconds since the Unix epoch; 0 while that never was.
    pub(crate) all_up_us: u64,
    /// Tasks received.
    pub(crate) n_launched: u64,
    /// First statuses, RUNNING, acknowledged.
    pub(crate) n_running: u64,
    /// Later statuses of running tasks, acknowledged.
    pub(crate) n_updates: u64,
    /// Terminal statuses acknowledged.
    pub(crate) n_ended: u64,
}

impl Counts {
    pub(crate) fn line(self) -> String {
        let Self {
            n_up,
            all_up_us,
            n_launched,
            n_running,
            n_updates,
            n_ended,
        } = self;
        format!("{n_up} {all_up_us} {n_launched} {n_running} {n_updates} {n_ended}")
    }

    /// Those of two processes together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            n_up: self.n_up + other.n_up,
            all_up_us: self.all_up_us.max(other.all_up_us),
            n_launched: self.n_launched + other.n_launched,
            n_running: self.n_running + other.n_running,
            n_updates: self.n_updates + other.n_updates,
            n_ended: self.n_ended + other.n_ended,
        }
    }
}

impl FromStr for Counts {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let numbers = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>();
        let numbers = numbers.with_context(|| format!("`{line}` is no answer of agents"))?;
        let [n_up, all_up_us, n_launched, n_running, n_updates, n_ended] = numbers[..] else {
            bail!("`{line}` is no answer of agents");
        };
        Ok(Self {
            n_up,
            all_up_us,
            n_launched,
            n_running,
            n_updates,
            n_ended,
        })
    }
}

/// What all agents of a process share.
#[derive(Debug)]
struct Shared {
    args: AgentsArgs,
    n_up: AtomicU64,
    all_up_us: AtomicU64,
    n_launched: AtomicU64,
    n_running: AtomicU64,
    n_updates: AtomicU64,
    n_ended: AtomicU64,
    /// Whether running tasks have news.
    chatty: watch::Receiver<bool>,
}

impl Shared {
    fn up(&self) {
        if self.n_up.fetch_add(1, Ordering::Relaxed) + 1 == u64::from(self.args.count) {
            self.all_up_us.store(now_us(), Ordering::Relaxed);
        }
    }

    fn counts(&self) -> Counts {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counts {
            n_up: get(&self.n_up),
            all_up_us: get(&self.all_up_us),
            n_launched: get(&self.n_launched),
            n_running: get(&self.n_running),
            n_updates: get(&self.n_updates),
            n_ended: get(&self.n_ended),
        }
    }

    fn lifetime(&self) -> Option<Duration> {
        (self.args.lifetime_ms > 0).then(|| Duration::from_millis(self.args.lifetime_ms))
    }
}

/// Microseconds since the Unix epoch: what processes of one machine compare.
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Plays agents until stdin ends.
pub(crate) fn run(args: AgentsArgs) -> Result<()> {
    crate::files::allow_all()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(play(args))
}

async fn play(args: AgentsArgs) -> Result<()> {
    let (set_chatty, chatty) = watch::channel(false);
    let shared = Arc::new(Shared {
        n_up: AtomicU64::new(0),
        all_up_us: AtomicU64::new(0),
        n_launched: AtomicU64::new(0),
        n_running: AtomicU64::new(0),
        n_updates: AtomicU64::new(0),
        n_ended: AtomicU64::new(0),
        chatty,
        args,
    });
    for n in 0..shared.args.count {
        tokio::spawn(link::run(n + shared.args.first, shared.clone()));
    }
    let mut lines = BufReader::new(stdin()).lines();
    let mut answers = stdout();
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            "updates on" => drop(set_chatty.send(true)),
            "updates off" => drop(set_chatty.send(false)),
            "count" => {
                answers
                    .write_all(format!("{}\n", shared.counts().line()).as_bytes())
                    .await?;
                answers.flush().await?;
            }
            other => bail!("agents do not know `{other}`"),
        }
    }
    Ok(())
}

//! The autoscaler of agents: watches what waits for room, and runs the operator's provider.
//!
//! A client of the master's operator API like any other. What it decides is in `proffer-autoscaler-core`; here are its
//! conversation with the master, the provider's runs, and the file of machines that are on their way.

mod dir;
mod error;
mod master;
mod provider;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proffer_autoscaler_core::{Action, Autoscaler, Config, Decision, Ended};
use proffer_types::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{info, warn};

pub use proffer_autoscaler_core as core;

use self::dir::DataDir;
pub use self::error::AutoscalerError;
use self::master::Master;
use self::provider::Provider;

/// What an autoscaler is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Addresses of the masters, `host:port`.
    pub masters: Vec<String>,
    /// The executable that adds and removes machines.
    pub provider: PathBuf,
    /// How long one run of it may take.
    pub provider_timeout: Duration,
    /// Where what has to outlive a restart is kept; one autoscaler a directory.
    pub data_dir: PathBuf,
    /// How often the cluster is looked at.
    pub poll: Duration,
    pub config: Config,
}

/// Runs until `shutdown`. A provider that runs then goes on, and is awaited by the next autoscaler.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), AutoscalerError> {
    settings.config.check()?;
    let master = Master::new(&settings.masters)?;
    let is_executable = |path: &PathBuf| {
        let metadata = std::fs::metadata(path);
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    let program = std::path::absolute(&settings.provider).ok().filter(is_executable);
    let program = program.ok_or_else(|| AutoscalerError::Provider(settings.provider.clone()))?;
    let data = DataDir::open(&settings.data_dir)?;
    let provider = Provider {
        program,
        masters: settings.masters,
        time_limit: settings.provider_timeout,
        dir: data.machines(),
    };
    let mut shell = Shell::new(settings.config, master, provider, data);
    shutdown.run_until_cancelled(shell.forever(settings.poll)).await;
    // Their processes are not ended with these.
    shell.runs.detach_all();
    Ok(())
}

/// A run of the provider that ended.
type Run = (String, Action, Ended);

#[derive(Debug)]
struct Shell {
    autoscaler: Autoscaler,
    config: Config,
    master: Master,
    provider: Provider,
    data: DataDir,
    runs: JoinSet<Run>,
    /// What was said of the master last.
    trouble: Option<String>,
}

impl Shell {
    fn new(config: Config, master: Master, provider: Provider, data: DataDir) -> Self {
        let mut runs = JoinSet::new();
        let mut busy = BTreeSet::new();
        for (name, machine) in &data.memory().machines {
            info!(machine = name, shape = machine.shape, phase = ?machine.phase, "an earlier autoscaler left it on its way");
            if provider.is_running(name) {
                busy.insert(name.clone());
                runs.spawn(await_earlier(provider.clone(), name.clone(), machine.clone()));
            }
        }
        Self {
            autoscaler: Autoscaler::new(config.clone(), data.memory().clone(), busy),
            config,
            master,
            provider,
            data,
            runs,
            trouble: None,
        }
    }

    async fn forever(&mut self, poll: Duration) -> std::convert::Infallible {
        let mut ticks = interval(poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(run) = self.runs.join_next() => match run {
                    Ok((machine, action, ended)) => self.ended(&machine, &action, &ended),
                    Err(error) => warn!(%error, "a run of the provider is lost"),
                },
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    async fn look(&mut self) {
        let now = now();
        let view = match self.master.view(now).await {
            Ok(view) => view,
            Err(status) => return self.complain(&status),
        };
        if self.trouble.take().is_some() {
            info!("the master answers");
        }
        let decisions = self.autoscaler.step(now, &view);
        // What is not written down is not done.
        if let Err(error) = self.data.write(self.autoscaler.memory()) {
            warn!(%error, "cannot write what is to be done, so nothing is");
            for decision in decisions {
                let failed = Ended::Failed("not written down".to_owned());
                self.autoscaler
                    .ended(now, &decision.machine, &decision.action, &failed);
            }
            return;
        }
        for decision in decisions {
            self.carry_out(decision).await;
        }
    }

    /// Says once an outage what is wrong.
    fn complain(&mut self, status: &Status) {
        let message = status.message().to_owned();
        if self.trouble.as_ref() != Some(&message) {
            warn!(code = ?status.code(), message, "the master does not answer; nothing is added or removed meanwhile");
            self.trouble = Some(message);
        }
    }

    async fn carry_out(&mut self, decision: Decision) {
        let Decision { machine, action, why } = decision;
        tell(&machine, &action, &why);
        match &action {
            Action::Nothing => {}
            Action::Add { shape } => {
                let shape = self.config.shapes.iter().find(|of| of.name == *shape).cloned();
                self.start(machine, action, shape);
            }
            Action::Remove { .. } => self.start(machine, action, None),
            Action::Drain { .. } | Action::Undrain { .. } | Action::MarkGone { .. } => {
                let ended = self.master.carry_out(&action).await;
                self.ended(&machine, &action, &ended);
            }
        }
    }

    fn start(&mut self, machine: String, action: Action, shape: Option<core::AgentShape>) {
        let provider = self.provider.clone();
        self.runs.spawn(async move {
            let ended = provider.run(&machine, &action, shape.as_ref()).await;
            (machine, action, ended)
        });
    }

    fn ended(&mut self, machine: &str, action: &Action, ended: &Ended) {
        match ended {
            Ended::Done => info!(machine, "{}: done", word(action)),
            Ended::Failed(why) => warn!(machine, why, "{}: failed", word(action)),
            Ended::Unknown(why) => warn!(machine, why, "{}: nobody knows whether it was done", word(action)),
        }
        self.autoscaler.ended(now(), machine, action, ended);
        if let Err(error) = self.data.write(self.autoscaler.memory()) {
            // The next look writes it, before anything else is done.
            warn!(%error, "cannot write how it ended");
        }
    }
}

async fn await_earlier(provider: Provider, name: String, machine: core::Machine) -> Run {
    let ended = provider.await_earlier(&name).await;
    let (shape, agent) = (machine.shape, machine.agent);
    match machine.phase {
        // It registers, or is taken not to.
        core::Phase::Adding => (name, Action::Add { shape }, Ended::Done),
        core::Phase::Registering | core::Phase::Draining | core::Phase::Removing | core::Phase::Leaving => {
            (name, Action::Remove { shape, agent }, ended)
        }
    }
}

/// The log of decisions.
fn tell(machine: &str, action: &Action, why: &str) {
    match action {
        Action::Add { shape } => info!(machine, shape, why, "adding an agent"),
        Action::Drain { agent } => info!(machine, %agent, why, "draining an agent"),
        Action::Undrain { agent } => info!(machine, %agent, why, "calling a drain off"),
        Action::Remove { shape, agent } => info!(machine, shape, agent, why, "removing an agent"),
        Action::MarkGone { agent } => info!(machine, agent, why, "telling the master that an agent is gone"),
        Action::Nothing if machine.is_empty() => info!("{why}"),
        Action::Nothing => info!(machine, "{why}"),
    }
}

fn word(action: &Action) -> &'static str {
    match action {
        Action::Add { .. } => "adding an agent",
        Action::Drain { .. } => "draining an agent",
        Action::Undrain { .. } => "calling a drain off",
        Action::Remove { .. } => "removing an agent",
        Action::MarkGone { .. } => "telling the master that an agent is gone",
        Action::Nothing => "nothing",
    }
}

/// The time of day: what is remembered outlives this process.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

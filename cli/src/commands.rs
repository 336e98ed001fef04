//! The commands, one file each.

mod agent;
mod agents;
mod attach;
mod autoscaler;
mod completion;
mod dev;
mod edge;
mod exec;
mod files;
mod framework;
mod frameworks;
mod images;
mod job;
mod kill;
mod logs;
mod maintenance;
mod master;
mod offers;
mod ps;
mod registry;
mod role;
mod roles;
mod run;
mod service;
mod stats;
mod tasks;
mod version;
mod why;

use std::future::Future;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use self::framework::FrameworkCommand;
use crate::allocators::Allocators;
use crate::failure::{WrongUse, exit_code};
use crate::logging::LogArgs;
use crate::spec::SpecError;

/// What a daemon logs unasked.
const DAEMON_LOG: &str = "info";
/// The same of an edge: its DNS library logs every question, and whatever cannot be answered.
const EDGE_LOG: &str = "info,hickory_server=error,hickory_net=error";
/// A daemon's loop and its streams; more threads would only cost memory.
const DAEMON_THREADS: usize = 2;

/// A cluster manager: masters offer what agents have, frameworks decide what runs where.
#[derive(Debug, Parser)]
#[command(name = "proffer", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dev(dev::DevArgs),
    Master(master::MasterArgs),
    Agent(agent::AgentArgs),
    #[command(subcommand)]
    Framework(FrameworkCommand),
    Edge(edge::EdgeArgs),
    Autoscaler(autoscaler::AutoscalerArgs),
    Run(run::RunArgs),
    #[command(subcommand)]
    Job(job::JobCommand),
    #[command(subcommand)]
    Service(service::ServiceCommand),
    Ps(ps::PsArgs),
    Tasks(tasks::TasksArgs),
    Stats(stats::StatsArgs),
    Agents(agents::AgentsArgs),
    Images(images::ImagesArgs),
    Frameworks(frameworks::FrameworksArgs),
    Offers(offers::OffersArgs),
    Roles(roles::RolesArgs),
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    Logs(logs::LogsArgs),
    Exec(exec::ExecArgs),
    Attach(attach::AttachArgs),
    #[command(subcommand)]
    Files(files::FilesCommand),
    Kill(kill::KillArgs),
    Why(why::WhyArgs),
    #[command(subcommand)]
    Role(role::RoleCommand),
    Completion(completion::CompletionArgs),
    /// Print the version
    Version,
}

impl Command {
    /// The file with further settings, and whose settings they are.
    pub(crate) fn config_file(&self) -> Option<(&'static str, PathBuf)> {
        if let Self::Master(args) = self {
            return Some(("master", args.config.clone()?));
        }
        if let Self::Agent(args) = self {
            let is_daemon = args.command.is_none();
            return Some(("agent", args.config.clone().filter(|_| is_daemon)?));
        }
        None
    }

    /// Runs the command to its end and returns the exit code.
    pub(crate) fn execute(self, log: LogArgs, allocators: &Allocators) -> u8 {
        match self {
            Self::Dev(args) => client(&log.clone(), dev::dev(args, log, allocators)),
            Self::Master(args) => daemon(&log, master::master(args, allocators)),
            Self::Agent(agent::AgentArgs {
                command: Some(command),
                ..
            }) => client(&log, agent::upkeep(command)),
            Self::Agent(args) => match agent::prepare(args) {
                Ok(config) => daemon(&log, agent::agent(config)),
                Err(error) => conclude(Err(error)),
            },
            Self::Framework(command) => match command {
                FrameworkCommand::Batch(args) => daemon(&log, framework::batch(args)),
                FrameworkCommand::Service(args) => daemon(&log, framework::service(args)),
                FrameworkCommand::Teardown(args) => client(&log, framework::teardown(args)),
            },
            Self::Edge(args) => daemon_on(every_processor(), EDGE_LOG, &log, edge::edge(args)),
            Self::Autoscaler(args) => daemon(&log, autoscaler::autoscaler(args)),
            Self::Run(args) => client(&log, run::run(args)),
            Self::Job(command) => client(&log, job::job(command)),
            Self::Service(command) => client(&log, service::service(command)),
            Self::Ps(args) => client(&log, ps::ps(args)),
            Self::Tasks(args) => client(&log, tasks::tasks(args)),
            Self::Stats(args) => client(&log, stats::stats(args)),
            Self::Agents(args) => client(&log, agents::agents(args)),
            Self::Images(args) => client(&log, images::images(args)),
            Self::Frameworks(args) => client(&log, frameworks::frameworks(args)),
            Self::Offers(args) => client(&log, offers::offers(args)),
            Self::Roles(args) => client(&log, roles::roles(args)),
            Self::Maintenance(command) => client(&log, maintenance::maintenance(command)),
            Self::Registry(command) => client(&log, registry::registry(command)),
            Self::Logs(args) => client(&log, logs::logs(args)),
            Self::Exec(args) => client(&log, exec::exec(args)),
            Self::Attach(args) => client(&log, attach::attach(args)),
            Self::Files(command) => client(&log, files::files(command)),
            Self::Kill(args) => client(&log, kill::kill(args)),
            Self::Why(args) => client(&log, why::why(args)),
            Self::Role(command) => client(&log, role::role(command)),
            Self::Completion(args) => conclude(completion::completion(&args)),
            Self::Version => conclude(version::version()),
        }
    }
}

/// Runs a command on one thread.
fn client(log: &LogArgs, command: impl Future<Output = Result<u8>>) -> u8 {
    if let Err(problem) = log.start(None) {
        return conclude(Err(WrongUse(problem).into()));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return conclude(Err(error.into())),
    };
    let code = conclude(runtime.block_on(command));
    // A blocked read of stdin or write to stdout must not hold the exit back.
    runtime.shutdown_background();
    code
}

/// Runs a daemon: logs unless told otherwise, and uses both cores of a small machine.
fn daemon(log: &LogArgs, daemon: impl Future<Output = Result<u8>>) -> u8 {
    daemon_on(DAEMON_THREADS, DAEMON_LOG, log, daemon)
}

/// As many threads as what goes through a daemon can use.
fn every_processor() -> usize {
    std::thread::available_parallelism().map_or(DAEMON_THREADS, usize::from)
}

fn daemon_on(
    n_threads: usize,
    default_log: &str,
    log: &LogArgs,
    daemon: impl Future<Output = Result<u8>>,
) -> u8 {
    if let Err(problem) = log.start(Some(default_log)) {
        return conclude(Err(WrongUse(problem).into()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(n_threads)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => conclude(runtime.block_on(daemon)),
        Err(error) => conclude(Err(error.into())),
    }
}

/// Says on stderr what went wrong; returns the exit code.
pub(crate) fn conclude(result: Result<u8>) -> u8 {
    match result {
        Ok(code) => code,
        Err(error) => {
            let code = exit_code(&error);
            if code != crate::failure::SIGPIPE_EXIT {
                eprintln!("proffer: {error:#}");
                if let Some(error) = error.downcast_ref::<SpecError>() {
                    eprint!("{}", error.excerpt());
                }
            }
            code
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        fn lacking(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let env = arg.get_env().and_then(|env| env.to_str());
                if !env.is_some_and(|env| env.starts_with("PROFFER_")) {
                    found.push(format!("{path} --{}", arg.get_id()));
                }
            }
            for sub in command.get_subcommands() {
                lacking(sub, &format!("{path} {}", sub.get_name()), found);
            }
        }
        let mut found = Vec::new();
        lacking(&CommandLine::command(), "proffer", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn flags_of_a_task_command_are_left_to_it() {
        let cli =
            CommandLine::try_parse_from(["proffer", "run", "--cpus", "0.5", "--", "ls", "--cpus", "-l"])
                .unwrap();
        let Command::Run(args) = cli.command else {
            panic!("not run")
        };
        assert_eq!(args.spec().command, ["ls", "--cpus", "-l"]);
    }

    #[test]
    fn a_negative_number_is_a_value_and_not_a_flag() {
        for bad in [
            &["proffer", "run", "--cpus", "-1", "--", "true"][..],
            &["proffer", "service", "scale", "web", "-1"],
            &["proffer", "role", "set", "web", "--weight", "-1"],
        ] {
            let error = CommandLine::try_parse_from(bad).unwrap_err();
            assert_eq!(
                error.kind(),
                clap::error::ErrorKind::ValueValidation,
                "{bad:?}: {error}"
            );
        }
    }

    #[test]
    fn wrong_values_are_refused_before_anything_happens() {
        for bad in [
            &["proffer", "run", "--mem", "-64MiB", "--", "true"][..],
            &["proffer", "run", "--cpus", "NaN", "--", "true"],
            &["proffer", "run", "--env", "NOVALUE", "--", "true"],
            &["proffer", "run"],
            &["proffer", "service", "scale", "web", "many"],
            &["proffer", "role", "set", "web", "--weight", "-1"],
            &["proffer", "role", "set", "web", "--priority", "1.5"],
            &["proffer", "role", "set", "web", "--limit", "cpus"],
            &["proffer", "role", "set", "web", "--limit", "ports:[1-2]"],
            &["proffer", "role", "set", "web", "--guarantee", "cpus(web):1"],
            &["proffer", "role", "set", "web"],
            &["proffer", "role", "reserve", "a1", "cpus(web):1"],
            &["proffer", "master", "--data-dir", "/d", "--domain", "eu"],
            &["proffer", "exec", "t"],
            &["proffer", "maintenance", "schedule", "w", "a1", "--start", "+2h"],
            &[
                "proffer",
                "maintenance",
                "schedule",
                "w",
                "--start",
                "+2h",
                "--duration",
                "1h",
            ],
            &[
                "proffer",
                "maintenance",
                "schedule",
                "w",
                "a1",
                "--start",
                "2h",
                "--duration",
                "1h",
            ],
            &[
                "proffer",
                "maintenance",
                "schedule",
                "w",
                "a1",
                "--start",
                "+2h",
                "--duration",
                "-1h",
            ],
        ] {
            let error = CommandLine::try_parse_from(bad).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{bad:?}: {error}");
        }
    }
}

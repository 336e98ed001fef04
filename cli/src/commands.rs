//! The commands, one file each.

mod agents;
mod completion;
mod frameworks;
mod job;
mod kill;
mod logs;
mod offers;
mod ps;
mod role;
mod roles;
mod run;
mod service;
mod tasks;
mod version;
mod why;

use std::future::Future;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::failure::exit_code;
use crate::logging::LogArgs;

/// A cluster manager: masters offer what agents have, frameworks decide what runs where.
#[derive(Debug, Parser)]
#[command(name = "proffer", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::RunArgs),
    #[command(subcommand)]
    Job(job::JobCommand),
    #[command(subcommand)]
    Service(service::ServiceCommand),
    Ps(ps::PsArgs),
    Tasks(tasks::TasksArgs),
    Agents(agents::AgentsArgs),
    Frameworks(frameworks::FrameworksArgs),
    Offers(offers::OffersArgs),
    Roles(roles::RolesArgs),
    Logs(logs::LogsArgs),
    Kill(kill::KillArgs),
    Why(why::WhyArgs),
    #[command(subcommand)]
    Role(role::RoleCommand),
    Completion(completion::CompletionArgs),
    /// Print the version
    Version,
}

impl Command {
    /// Runs the command to its end and returns the exit code.
    pub(crate) fn execute(self) -> u8 {
        match self {
            Self::Run(args) => client(run::run(args)),
            Self::Job(command) => client(job::job(command)),
            Self::Service(command) => client(service::service(command)),
            Self::Ps(args) => client(ps::ps(args)),
            Self::Tasks(args) => client(tasks::tasks(args)),
            Self::Agents(args) => client(agents::agents(args)),
            Self::Frameworks(args) => client(frameworks::frameworks(args)),
            Self::Offers(args) => client(offers::offers(args)),
            Self::Roles(args) => client(roles::roles(args)),
            Self::Logs(args) => client(logs::logs(args)),
            Self::Kill(args) => client(kill::kill(args)),
            Self::Why(args) => client(why::why(args)),
            Self::Role(command) => client(role::role(command)),
            Self::Completion(args) => conclude(completion::completion(&args)),
            Self::Version => conclude(version::version()),
        }
    }
}

/// Runs a command on one thread.
fn client(command: impl Future<Output = Result<u8>>) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return conclude(Err(error.into())),
    };
    let code = conclude(runtime.block_on(command));
    // A blocked read of stdin or write to stdout must not hold the exit back.
    runtime.shutdown_background();
    code
}

fn conclude(result: Result<u8>) -> u8 {
    match result {
        Ok(code) => code,
        Err(error) => {
            let code = exit_code(&error);
            if code != crate::failure::SIGPIPE_EXIT {
                eprintln!("proffer: {error:#}");
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
        Cli::command().debug_assert();
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
        lacking(&Cli::command(), "proffer", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn flags_of_a_task_command_are_left_to_it() {
        let cli =
            Cli::try_parse_from(["proffer", "run", "--cpus", "0.5", "--", "ls", "--cpus", "-l"]).unwrap();
        let Command::Run(args) = cli.command else {
            panic!("not run")
        };
        assert_eq!(args.spec().command, ["ls", "--cpus", "-l"]);
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
            &["proffer", "exec", "t", "--", "true"],
        ] {
            let error = Cli::try_parse_from(bad).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{bad:?}: {error}");
        }
    }
}

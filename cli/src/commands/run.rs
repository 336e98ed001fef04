//! `proffer run`: one task, as if it ran here.
//!
//! The task is a job of one task. Its output, signals and exit code pass through; master, batch framework and agent may
//! be killed and come back meanwhile.

mod container;
mod ending;
mod pass_through;
mod submit;

pub(super) use ending::{exit_of, of_signal};

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::spec::{
    AfterJob, Bytes, Condition, Cores, DEFAULT_CPUS, DEFAULT_MEM, Limits, Span, TaskSpec, UpTo, Whole,
};
use crate::terminal::RawMode;

use self::container::ContainerArgs;

/// Run a command on the cluster: stream its output, pass Ctrl-C on, exit with its code
///
/// The first Ctrl-C or SIGTERM asks the task to end (SIGTERM, then SIGKILL after the grace period); the second leaves.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Cores the task is guaranteed, and limited to unless --limit-cpus says otherwise
    #[arg(long, env = "PROFFER_CPUS", value_name = "CORES", default_value_t = DEFAULT_CPUS, allow_negative_numbers = true)]
    cpus: Cores,
    /// Memory the task is guaranteed, and limited to unless --limit-mem says otherwise
    #[arg(long, env = "PROFFER_MEM", value_name = "SIZE", default_value_t = DEFAULT_MEM)]
    mem: Bytes,
    /// The most cores the task may use where they are idle, or `infinite`; at least --cpus
    #[arg(
        long,
        env = "PROFFER_LIMIT_CPUS",
        value_name = "CORES",
        allow_negative_numbers = true
    )]
    limit_cpus: Option<UpTo<Cores>>,
    /// The most memory the task may use where there is some, or `infinite`; above it the kernel kills the task
    #[arg(long, env = "PROFFER_LIMIT_MEM", value_name = "SIZE")]
    limit_mem: Option<UpTo<Bytes>>,
    /// Run only where this holds of the agent's attributes, `hostname`, `region` or `zone`: rack=r1, zone!=eu-1,
    /// hostname~node-.*, rack!~r.*, gpu or !gpu; may be given several times
    #[arg(long, env = "PROFFER_CONSTRAINT", value_name = "CONSTRAINT")]
    constraint: Vec<Condition>,
    /// Disk for the task's files; one that takes more is ended
    #[arg(long, env = "PROFFER_DISK", value_name = "SIZE")]
    disk: Option<Bytes>,
    /// The most processes and threads at once; absent means the agent's default
    #[arg(long, env = "PROFFER_PIDS", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pids: Option<u64>,
    /// An environment variable for the task; may be given several times
    #[arg(short, long, env = "PROFFER_ENV", value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Send what is typed, or piped in, to the task; without it the task's stdin is empty
    #[arg(short, long, env = "PROFFER_INTERACTIVE")]
    interactive: bool,
    /// Give the task a terminal, and with --interactive this one to it
    #[arg(short, long, env = "PROFFER_TTY")]
    tty: bool,
    /// Where the command starts, absolute; absent means the task's sandbox
    #[arg(long, env = "PROFFER_WORKING_DIRECTORY", value_name = "PATH")]
    working_directory: Option<String>,
    /// From SIGTERM to SIGKILL when the task is asked to end
    #[arg(long, env = "PROFFER_KILL_GRACE", value_name = "DURATION")]
    kill_grace: Option<Span>,
    /// The job's name; absent means `run-` and eight random characters
    #[arg(long, env = "PROFFER_NAME")]
    name: Option<String>,
    /// The role whose share is used
    #[arg(long, env = "PROFFER_ROLE", default_value = "*")]
    role: String,
    /// A label of the job and its task, for `proffer job list -l`; may be given several times
    #[arg(long, env = "PROFFER_LABEL", value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Run nothing: check what was asked for, and say where it would start now, or what it would wait for
    #[arg(long, env = "PROFFER_DRY_RUN")]
    dry_run: bool,
    /// Start only when another job has finished, or with NAME:failure has failed, or with NAME:any has ended; may be given
    /// several times
    #[arg(long, env = "PROFFER_AFTER_JOB", value_name = "NAME[:ON]")]
    after_job: Vec<AfterJob>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    container: ContainerArgs,
    /// The command and its arguments; with --image its arguments, in place of the image's own command
    #[arg(
        required_unless_present = "image",
        trailing_var_arg = true,
        value_name = "CMD"
    )]
    command: Vec<String>,
}

pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

impl RunArgs {
    /// The task, in the form jobs and services share.
    pub(super) fn spec(&self) -> TaskSpec {
        let mut task = TaskSpec {
            command: self.command.clone(),
            cpus: Some(self.cpus),
            mem: Some(self.mem),
            disk: self.disk,
            pids: self.pids.map(Whole),
            env: self.env.iter().cloned().collect::<BTreeMap<_, _>>(),
            working_directory: self.working_directory.clone(),
            kill_grace: self.kill_grace,
            limits: Limits {
                cpus: self.limit_cpus,
                mem: self.limit_mem,
            },
            constraints: self.constraint.clone(),
            ..TaskSpec::default()
        };
        self.container.add_to(&mut task);
        task
    }

    fn job(&self) -> v1::JobSpec {
        let task = self.spec();
        v1::JobSpec {
            name: self.name.clone().unwrap_or_else(submit::random_name),
            role: self.role.clone(),
            priority: 0,
            tasks: vec![v1::JobTask {
                name: "run".to_owned(),
                count: 1,
                after: Vec::new(),
                conditions: Vec::new(),
                resources: Some(task.resources()),
                container: Some(v1::ContainerSpec {
                    tty: self.tty,
                    stdin: self.interactive,
                    ..task.container()
                }),
                retries: 0,
                timeout_ms: 0,
                kill_policy: task.kill_policy(),
                limits: task.limits.message(),
                rules: task.rules(),
                gang: false,
                max_running: 0,
                retry: None,
            }],
            gang: false,
            schedule: None,
            hold: false,
            deadline_ms: 0,
            user: super::job::logged_in(),
            labels: self.label.iter().cloned().collect(),
            template: None,
            dispatch: None,
            after_jobs: self.after_job.iter().cloned().map(Into::into).collect(),
        }
    }
}

pub(super) async fn run(args: RunArgs) -> Result<u8> {
    let job = args.job();
    let cluster = Cluster::connect(&args.master).await?;
    if args.dry_run {
        return super::job::dry_run(&cluster, job).await;
    }
    submit::submit(&cluster, &job).await?;
    let _raw = if args.tty && args.interactive {
        Some(RawMode::enter()?)
    } else {
        None
    };
    let (status, signal) = pass_through::PassThrough::start(&cluster, &job.name, args.interactive)?
        .until_end()
        .await?;
    let limit = args.limit_mem.unwrap_or(UpTo::At(args.mem));
    Ok(ending::exit_code(status.as_ref(), signal, limit))
}

//! `proffer files`.

mod get;

use anyhow::Result;
use clap::{Args, Subcommand};
use proffer_grpc::v1::files_client::FilesClient;
use proffer_wire::v1;
use tonic::transport::Channel;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::FileView;

/// List and download what is in a task's sandbox, also after its end
#[derive(Debug, Subcommand)]
pub(crate) enum FilesCommand {
    /// List a directory
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Download a file, or a directory with all that is in it
    Get(get::GetArgs),
}

/// A place in a task's sandbox.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The task's id, as `proffer tasks --all` shows it
    task: String,
    /// Relative to the task's sandbox
    #[arg(default_value = "")]
    path: String,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn files(command: FilesCommand) -> Result<u8> {
    match command {
        FilesCommand::List(args) => list(args).await,
        FilesCommand::Get(args) => get::get(args).await,
    }
}

async fn list(args: ListArgs) -> Result<u8> {
    let sandbox = Sandbox::of(&args.master, &args.task).await?;
    show(args.output, async || {
        let mut entries = sandbox.list(&args.path).await?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Rows(entries.into_iter().map(FileView::from).collect()))
    })
    .await
}

/// The files of one task, on its agent.
#[derive(Debug)]
struct Sandbox {
    framework_id: String,
    task_id: String,
    agent: FilesClient<Channel>,
}

impl Sandbox {
    async fn of(master: &MasterArgs, task_id: &str) -> Result<Self> {
        let cluster = Cluster::connect(master).await?;
        let task = cluster.find_task(task_id).await?;
        anyhow::ensure!(
            !task.agent_address.is_empty(),
            "the files of `{task_id}` cannot be had: its agent is not connected"
        );
        Ok(Self {
            framework_id: task.framework_id,
            task_id: task_id.to_owned(),
            agent: cluster.files(&task.agent_address)?,
        })
    }

    async fn list(&self, path: &str) -> Result<Vec<v1::FileEntry>> {
        let request = v1::ListFilesRequest {
            framework_id: self.framework_id.clone(),
            task_id: self.task_id.clone(),
            path: path.to_owned(),
        };
        let answer = self.agent.clone().list_files(request).await;
        let mut answers = answer.map_err(|status| refused(&status))?.into_inner();
        let mut entries = Vec::new();
        while let Some(answer) = answers.message().await.map_err(|status| refused(&status))? {
            entries.extend(answer.entries);
        }
        Ok(entries)
    }
}

//! `proffer agents`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::AgentView;

/// List agents: whether they are in use, what they have, what is used, what enforces limits
#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    /// Also those that operators declared gone
    #[arg(long, env = "PROFFER_INCLUDE_GONE")]
    gone: bool,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn agents(args: AgentsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::ListAgentsRequest {
            include_gone: args.gone,
        };
        let answer = cluster.operator().list_agents(request).await;
        let list = answer.map_err(|status| refused(&status))?.into_inner().agents;
        Ok(Rows(list.into_iter().map(AgentView::from).collect()))
    })
    .await
}

//! `proffer agents`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::AgentView;

/// List agents: what they have, what is used, what enforces limits
#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn agents(args: AgentsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster.operator().list_agents(v1::ListAgentsRequest {}).await;
        let list = answer.map_err(|status| refused(&status))?.into_inner().agents;
        Ok(Rows(list.into_iter().map(AgentView::from).collect()))
    })
    .await
}

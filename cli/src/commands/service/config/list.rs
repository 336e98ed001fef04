//! `proffer service config list`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::ConfigView;

/// List configs and secrets
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn list(args: ListArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster.configs().list_configs(v1::ListConfigsRequest {}).await;
        let configs = answer.map_err(|status| refused(&status))?.into_inner().configs;
        Ok(Rows(configs.into_iter().map(ConfigView::from).collect()))
    })
    .await
}

//! `proffer frameworks`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::FrameworkView;

/// List frameworks: who they are, what they hold
#[derive(Debug, Args)]
pub(crate) struct FrameworksArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn frameworks(args: FrameworksArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster
            .operator()
            .list_frameworks(v1::ListFrameworksRequest {})
            .await;
        let list = answer.map_err(|status| refused(&status))?.into_inner().frameworks;
        Ok(Rows(list.into_iter().map(FrameworkView::from).collect()))
    })
    .await
}

//! `proffer roles`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::RoleView;

/// List roles: weights and what is allocated
#[derive(Debug, Args)]
pub(crate) struct RolesArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn roles(args: RolesArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster.operator().list_roles(v1::ListRolesRequest {}).await;
        let list = answer.map_err(|status| refused(&status))?.into_inner().roles;
        Ok(Rows(list.into_iter().map(RoleView::from).collect()))
    })
    .await
}

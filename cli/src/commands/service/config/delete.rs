//! `proffer service config delete`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Forget a config that no service uses
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn delete(args: DeleteArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::DeleteConfigRequest { name: args.name };
    let answer = cluster.configs().delete_config(request).await;
    answer.map(|_| 0).map_err(|status| refused(&status))
}

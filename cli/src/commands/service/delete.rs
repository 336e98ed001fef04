//! `proffer service delete`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Stop all replicas and forget the service
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn delete(args: DeleteArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::DeleteServiceRequest { name: args.name };
    cluster
        .services()
        .delete_service(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(0)
}

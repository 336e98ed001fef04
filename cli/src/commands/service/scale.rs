//! `proffer service scale`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;

/// Set the number of replicas
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    name: String,
    #[arg(allow_negative_numbers = true)]
    replicas: u32,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn scale(args: ScaleArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::ScaleServiceRequest {
        name: args.name,
        replicas: args.replicas,
    };
    cluster
        .services()
        .scale_service(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(0)
}

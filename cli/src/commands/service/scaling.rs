//! `proffer service scaling`.

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, show};
use crate::views::ScalingView;

/// Show what a service scales by, what that is now, and what was decided
#[derive(Debug, Args)]
pub(crate) struct ScalingArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn scaling(args: ScalingArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::GetServiceRequest {
            name: args.name.clone(),
        };
        let answer = cluster.services().get_service(request).await;
        let service = answer.map_err(|status| refused(&status))?.into_inner();
        let view = ScalingView::of(&service);
        view.with_context(|| {
            format!(
                "service `{}` is scaled by people: its file has no `scaling`",
                args.name
            )
        })
    })
    .await
}

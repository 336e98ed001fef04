//! `proffer offers`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::OfferView;

/// List outstanding offers
#[derive(Debug, Args)]
pub(crate) struct OffersArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn offers(args: OffersArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster.operator().list_offers(v1::ListOffersRequest {}).await;
        let list = answer.map_err(|status| refused(&status))?.into_inner().offers;
        Ok(Rows(list.into_iter().map(OfferView::from).collect()))
    })
    .await
}

//! `proffer service endpoints`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::EndpointsView;

/// Show addresses and ports of exposed services and virtual services, or what is behind one of them
#[derive(Debug, Args)]
pub(crate) struct EndpointsArgs {
    /// Absent means all, without their endpoints
    name: Option<String>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn endpoints(args: EndpointsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let Some(name) = args.name else {
        return show(args.output, async || {
            let request = v1::ListVirtualServicesRequest {};
            let answer = cluster.services().list_virtual_services(request).await;
            let views = answer.map_err(|status| refused(&status))?.into_inner();
            let views = views.virtual_services;
            Ok(Rows(views.into_iter().map(EndpointsView::from).collect()))
        })
        .await;
    };
    show(args.output, async || {
        let request = v1::GetVirtualServiceRequest { name: name.clone() };
        let answer = cluster.services().get_virtual_service(request).await;
        Ok(EndpointsView::from(
            answer.map_err(|status| refused(&status))?.into_inner(),
        ))
    })
    .await
}

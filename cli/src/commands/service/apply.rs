//! `proffer service apply`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use super::files::FilesArgs;
use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::kubernetes::Object;
use crate::output::print;

/// Create services, or change them to match their files
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn apply(args: ApplyArgs) -> Result<u8> {
    let objects = args.files.read()?;
    let cluster = Cluster::connect(&args.master).await?;
    // Where one of several is refused, none is applied.
    if objects.len() > 1 {
        for spec in objects.iter().filter_map(Object::spec) {
            let request = v1::ApplyServiceRequest {
                spec: Some(spec.clone()),
            };
            let plan = cluster.services().plan_service(request).await;
            plan.map_err(|status| refused(&status))?;
        }
    }
    for object in objects {
        let title = object.title();
        let Some(spec) = object.spec().cloned() else {
            print(&format!("{title} read, not kept\n"))?;
            continue;
        };
        let request = v1::ApplyServiceRequest { spec: Some(spec) };
        let answer = cluster
            .services()
            .apply_service(request)
            .await
            .map_err(|status| refused(&status))?;
        let v1::ApplyServiceResponse { created, version } = answer.into_inner();
        let what = if created { "created" } else { "applied" };
        print(&format!("{title} {what}, version {version}\n"))?;
    }
    Ok(0)
}

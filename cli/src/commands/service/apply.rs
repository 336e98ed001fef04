//! `proffer service apply`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use super::files::FilesArgs;
use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
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
    let specs = args.files.read()?;
    let cluster = Cluster::connect(&args.master).await?;
    for spec in specs {
        let name = spec.name.clone();
        let request = v1::ApplyServiceRequest { spec: Some(spec) };
        let answer = cluster
            .services()
            .apply_service(request)
            .await
            .map_err(|status| refused(&status))?;
        let v1::ApplyServiceResponse { created, version } = answer.into_inner();
        let what = if created { "created" } else { "applied" };
        print(&format!("{name} {what}, version {version}\n"))?;
    }
    Ok(0)
}

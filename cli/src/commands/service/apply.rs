//! `proffer service apply`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::print;
use crate::spec::{self, ServiceFile};

/// Create services, or change them to match their files
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// A service file in YAML; `-` is stdin
    #[arg(
        short = 'f',
        long = "file",
        env = "PROFFER_FILE",
        value_name = "FILE",
        required = true
    )]
    files: Vec<PathBuf>,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn apply(args: ApplyArgs) -> Result<u8> {
    // All files are read before anything is changed.
    let read = |path: &PathBuf| spec::read::<ServiceFile>(path);
    let services = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let cluster = Cluster::connect(&args.master).await?;
    for service in services {
        let spec = v1::ServiceSpec::from(service);
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

//! `proffer service delete`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use super::files::{NamespaceArgs, read};
use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::kubernetes::Object;

/// Stop all replicas and forget the service
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[arg(required_unless_present = "files")]
    name: Option<String>,
    /// Delete what a service file, or Kubernetes manifests, hold; `-` is stdin
    #[arg(
        short = 'f',
        long = "file",
        env = "PROFFER_FILE",
        value_name = "FILE",
        conflicts_with = "name"
    )]
    files: Vec<PathBuf>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn delete(args: DeleteArgs) -> Result<u8> {
    let named = args.name.map(|name| {
        Object::Service(v1::ServiceSpec {
            name,
            ..v1::ServiceSpec::default()
        })
    });
    let objects = match named {
        Some(service) => vec![service],
        None => read(&args.files, &args.namespace)?,
    };
    let cluster = Cluster::connect(&args.master).await?;
    for spec in objects.iter().filter_map(Object::spec) {
        let name = spec.name.clone();
        let request = v1::DeleteServiceRequest { name };
        cluster
            .services()
            .delete_service(request)
            .await
            .map_err(|status| refused(&status))?;
    }
    Ok(0)
}

//! `proffer service delete`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;
use tonic::{Code, Status};

use super::files::{NamespaceArgs, read};
use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::kubernetes::Object;
use crate::output::print;

/// Stop all replicas and forget the service, and the virtual service of the name
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[arg(required_unless_present = "files")]
    name: Option<String>,
    /// Delete what a service file, a policy file, or Kubernetes manifests, hold; `-` is stdin
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
    let cluster = Cluster::connect(&args.master).await?;
    if let Some(name) = args.name {
        let of_virtual = delete_virtual(&cluster, name.clone()).await;
        let of_service = delete_service(&cluster, name).await;
        let either = match (of_virtual, of_service) {
            (Ok(()), Err(status)) | (Err(status), Ok(())) if status.code() == Code::NotFound => Ok(()),
            (of_virtual, of_service) => of_service.and(of_virtual),
        };
        return either.map(|()| 0).map_err(|status| refused(&status));
    }
    // What uses another one goes first.
    for object in read(&args.files, &args.namespace)?.into_iter().rev() {
        let title = object.title();
        let deleted = match object {
            Object::LimitRange(_) => continue,
            Object::VirtualService(v1::VirtualService { name, .. }) => delete_virtual(&cluster, name).await,
            Object::Policy(v1::NetworkPolicy { name, .. }) => delete_policy(&cluster, name).await,
            Object::Config(config) => delete_config(&cluster, config.name).await,
            Object::Service(spec) | Object::Workload(_, spec) => delete_service(&cluster, spec.name).await,
        };
        let what = match deleted {
            Ok(()) => "deleted",
            // What was deleted before an error is not in the way when it is tried again.
            Err(status) if status.code() == Code::NotFound => "is not there",
            Err(status) => return Err(refused(&status)),
        };
        print(&format!("{title} {what}\n"))?;
    }
    Ok(0)
}

async fn delete_virtual(cluster: &Cluster, name: String) -> Result<(), Status> {
    let request = v1::DeleteVirtualServiceRequest { name };
    cluster.services().delete_virtual_service(request).await.map(drop)
}

async fn delete_policy(cluster: &Cluster, name: String) -> Result<(), Status> {
    let request = v1::DeleteNetworkPolicyRequest { name };
    cluster.services().delete_network_policy(request).await.map(drop)
}

async fn delete_config(cluster: &Cluster, name: String) -> Result<(), Status> {
    let request = v1::DeleteConfigRequest { name };
    cluster.configs().delete_config(request).await.map(drop)
}

async fn delete_service(cluster: &Cluster, name: String) -> Result<(), Status> {
    let request = v1::DeleteServiceRequest { name };
    cluster.services().delete_service(request).await.map(drop)
}

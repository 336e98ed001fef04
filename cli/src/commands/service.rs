//! `proffer service`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, print, show};
use crate::spec::{self, ServiceFile};
use crate::views::{ServiceSummaryView, ServiceView};

/// Keep replicas of a task running
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    Apply(ApplyArgs),
    List(ListArgs),
    Status(StatusArgs),
    Scale(ScaleArgs),
    Delete(DeleteArgs),
}

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

/// List services
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Show one service and its replicas
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Set the number of replicas
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    name: String,
    #[arg(allow_negative_numbers = true)]
    replicas: u32,
    #[command(flatten)]
    master: MasterArgs,
}

/// Stop all replicas and forget the service
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn service(command: ServiceCommand) -> Result<u8> {
    match command {
        ServiceCommand::Apply(args) => apply(args).await,
        ServiceCommand::List(args) => list(args).await,
        ServiceCommand::Status(args) => status(args).await,
        ServiceCommand::Scale(args) => scale(args).await,
        ServiceCommand::Delete(args) => delete(args).await,
    }
}

async fn apply(args: ApplyArgs) -> Result<u8> {
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

async fn list(args: ListArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster.services().list_services(v1::ListServicesRequest {}).await;
        let services = answer.map_err(|status| refused(&status))?.into_inner().services;
        Ok(Rows(
            services
                .into_iter()
                .map(ServiceView::from)
                .map(ServiceSummaryView)
                .collect(),
        ))
    })
    .await
}

async fn status(args: StatusArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::GetServiceRequest {
            name: args.name.clone(),
        };
        let answer = cluster.services().get_service(request).await;
        Ok(ServiceView::from(
            answer.map_err(|status| refused(&status))?.into_inner(),
        ))
    })
    .await
}

async fn scale(args: ScaleArgs) -> Result<u8> {
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

async fn delete(args: DeleteArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::DeleteServiceRequest { name: args.name };
    cluster
        .services()
        .delete_service(request)
        .await
        .map_err(|status| refused(&status))?;
    Ok(0)
}

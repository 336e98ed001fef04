//! `proffer service apply`.

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use super::config::apply as apply_config;
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
        let with_configs = config_names(&objects);
        for spec in objects.iter().filter_map(Object::spec) {
            let request = v1::ApplyServiceRequest {
                spec: Some(spec.clone()),
                with_configs: with_configs.clone(),
            };
            let plan = cluster.services().plan_service(request).await;
            plan.map_err(|status| refused(&status))?;
        }
    }
    for object in objects {
        let title = object.title();
        let what = match object {
            Object::LimitRange(_) => "read, not kept".to_owned(),
            Object::Policy(policy) => apply_policy(&cluster, policy).await?,
            Object::VirtualService(service) => apply_virtual_service(&cluster, service).await?,
            Object::Config(config) => apply_config(&cluster, config).await?,
            Object::Service(spec) | Object::Workload(_, spec) => apply_service(&cluster, spec).await?,
        };
        print(&format!("{title} {what}\n"))?;
    }
    Ok(0)
}

/// The configs that are applied before what uses them.
pub(super) fn config_names(objects: &[Object]) -> Vec<String> {
    let names = objects.iter().filter_map(|object| match object {
        Object::Config(config) => Some(config.name.clone()),
        Object::Service(_)
        | Object::Workload(..)
        | Object::LimitRange(_)
        | Object::VirtualService(_)
        | Object::Policy(_) => None,
    });
    names.collect()
}

async fn apply_service(cluster: &Cluster, spec: v1::ServiceSpec) -> Result<String> {
    let request = v1::ApplyServiceRequest {
        spec: Some(spec),
        with_configs: Vec::new(),
    };
    let answer = cluster.services().apply_service(request).await;
    let v1::ApplyServiceResponse { created, version } =
        answer.map_err(|status| refused(&status))?.into_inner();
    let what = if created { "created" } else { "applied" };
    Ok(format!("{what}, version {version}"))
}

async fn apply_virtual_service(cluster: &Cluster, service: v1::VirtualService) -> Result<String> {
    let request = v1::ApplyVirtualServiceRequest {
        virtual_service: Some(service),
    };
    let answer = cluster.services().apply_virtual_service(request).await;
    let v1::ApplyVirtualServiceResponse { created, address } =
        answer.map_err(|status| refused(&status))?.into_inner();
    let what = if created { "created" } else { "applied" };
    Ok(match address.as_str() {
        "" => format!("{what}, without an address"),
        address => format!("{what}, address {address}"),
    })
}

async fn apply_policy(cluster: &Cluster, policy: v1::NetworkPolicy) -> Result<String> {
    let request = v1::ApplyNetworkPolicyRequest { policy: Some(policy) };
    let answer = cluster.services().apply_network_policy(request).await;
    let v1::ApplyNetworkPolicyResponse { created, services } =
        answer.map_err(|status| refused(&status))?.into_inner();
    let what = if created { "created" } else { "applied" };
    Ok(match services.as_slice() {
        [] => format!("{what}, selects no service now"),
        services => format!("{what}, selects {}", services.join(" ")),
    })
}

//! `proffer service plan`.

use anyhow::Result;
use clap::Args;
use proffer_types::discovery::DiscoveredPort;
use proffer_types::policy::NetworkPolicy;
use proffer_wire::v1;
use tonic::Code;

use super::apply::config_names;
use super::files::FilesArgs;
use crate::client::{Cluster, MasterArgs};
use crate::difference::{Difference, differences};
use crate::failure::refused;
use crate::kubernetes::Object;
use crate::output::{print, terminal_width};
use crate::views::plan_text;

/// Show what `apply` would change, and which replicas would start, stop and be replaced; changes nothing
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    files: FilesArgs,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn plan(args: PlanArgs) -> Result<u8> {
    let objects = args.files.read()?;
    let cluster = Cluster::connect(&args.master).await?;
    let with_configs = config_names(&objects);
    for object in &objects {
        let spec = match object {
            Object::LimitRange(_) => continue,
            Object::VirtualService(service) => {
                plan_virtual_service(&cluster, service).await?;
                continue;
            }
            Object::Policy(policy) => {
                plan_policy(&cluster, policy).await?;
                continue;
            }
            Object::Config(config) => {
                plan_config(&cluster, config).await?;
                continue;
            }
            Object::Service(spec) | Object::Workload(_, spec) => spec,
        };
        let request = v1::ApplyServiceRequest {
            spec: Some(spec.clone()),
            with_configs: with_configs.clone(),
        };
        let plan = cluster.services().plan_service(request).await;
        let plan = plan.map_err(|status| refused(&status))?.into_inner();
        let now = match &plan.before {
            Some(_) => {
                let request = v1::GetServiceRequest {
                    name: spec.name.clone(),
                };
                let view = cluster.services().get_service(request).await;
                Some(view.map_err(|status| refused(&status))?.into_inner())
            }
            None => None,
        };
        let after = plan.after.clone().unwrap_or_default();
        let differences = differences("ServiceSpec", plan.before.as_ref(), &after)?;
        print(&plan_text(
            spec,
            &plan,
            now.as_ref(),
            &differences,
            terminal_width(),
        ))?;
    }
    Ok(0)
}

async fn plan_virtual_service(cluster: &Cluster, service: &v1::VirtualService) -> Result<()> {
    let name = service.name.clone();
    let request = v1::GetVirtualServiceRequest { name };
    let before = match cluster.services().get_virtual_service(request).await {
        Ok(view) => Some(view.into_inner()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return Err(refused(&status)),
    };
    let before = before.filter(|view| !view.of_service).and_then(|view| view.spec);
    let service = &as_kept(service);
    let differences = differences("VirtualService", before.as_ref(), service)?;
    let name = format!("virtual service {}", service.name);
    print_plan(&name, before.is_some(), &differences)
}

async fn plan_policy(cluster: &Cluster, policy: &v1::NetworkPolicy) -> Result<()> {
    // With the namespaces that it does not say, as the framework keeps it; and so that a bad one is refused.
    let kept = NetworkPolicy::try_from(policy.clone())?;
    let kept = v1::NetworkPolicy::from(&kept);
    let request = v1::ListNetworkPoliciesRequest {};
    let all = cluster.services().list_network_policies(request).await;
    let all = all.map_err(|status| refused(&status))?.into_inner().policies;
    let mut all = all.into_iter().filter_map(|view| view.spec);
    let before = all.find(|known| known.name == kept.name);
    let differences = differences("NetworkPolicy", before.as_ref(), &kept)?;
    print_plan(&format!("policy {}", kept.name), before.is_some(), &differences)
}

fn print_plan(name: &str, is_there: bool, differences: &[Difference]) -> Result<()> {
    let what = match is_there {
        false => "be created",
        true if differences.is_empty() => "stay as it is",
        true => "change",
    };
    let mut text = format!("{name} would {what}\n");
    for difference in differences {
        for line in difference.text().lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
    }
    print(&text)
}

/// Says which keys would change; values may be secret.
async fn plan_config(cluster: &Cluster, config: &v1::Config) -> Result<()> {
    let name = config.name.clone();
    let before = match cluster.configs().get_config(v1::GetConfigRequest { name }).await {
        Ok(view) => view.into_inner().config,
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return Err(refused(&status)),
    };
    let kind = if config.secret { "secret" } else { "config" };
    let Some(before) = before else {
        return print(&format!("{kind} {} would be created\n", config.name));
    };
    let mut text = format!("{kind} {} would have\n", config.name);
    for (key, value) in &config.entries {
        let what = match before.entries.get(key) {
            None => "new",
            Some(_) if config.secret => "set again, its values are not shown",
            Some(old) if old == value => "as it is",
            Some(_) => "changed",
        };
        text.push_str(&format!("  {key}: {what}\n"));
    }
    for key in before
        .entries
        .keys()
        .filter(|key| !config.entries.contains_key(*key))
    {
        text.push_str(&format!("  {key}: removed\n"));
    }
    print(&text)
}

/// The same in the form in which the framework keeps it: with what its ports do not say.
fn as_kept(service: &v1::VirtualService) -> v1::VirtualService {
    let mut kept = service.clone();
    for port in &mut kept.ports {
        let full = port.port.clone().map(DiscoveredPort::try_from);
        if let Some(Ok(full)) = full {
            port.port = Some((&full).into());
        }
    }
    kept
}

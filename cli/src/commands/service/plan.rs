//! `proffer service plan`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::difference::differences;
use crate::failure::refused;
use crate::output::{print, terminal_width};
use crate::spec::{self, ServiceFile};
use crate::views::plan_text;

/// Show what `apply` would change, and which replicas would start, stop and be replaced; changes nothing
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
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

pub(super) async fn plan(args: PlanArgs) -> Result<u8> {
    let read = |path: &PathBuf| spec::read::<ServiceFile>(path);
    let services = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let cluster = Cluster::connect(&args.master).await?;
    for service in services {
        let spec = v1::ServiceSpec::from(service);
        let request = v1::ApplyServiceRequest {
            spec: Some(spec.clone()),
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
            &spec,
            &plan,
            now.as_ref(),
            &differences,
            terminal_width(),
        ))?;
    }
    Ok(0)
}

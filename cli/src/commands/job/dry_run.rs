//! `proffer job submit --dry-run` and `run --dry-run`: what would come of a submission now, without one.

use anyhow::Result;
use proffer_wire::v1;

use crate::client::Cluster;
use crate::failure::refused;
use crate::output::{print, terminal_width};
use crate::views::rehearsal_text;

/// Has a job checked by the framework, and its demand tried by the master; prints what would start where.
pub(crate) async fn dry_run(cluster: &Cluster, spec: v1::JobSpec) -> Result<u8> {
    let request = v1::SubmitJobRequest {
        spec: Some(spec.clone()),
    };
    let checked = cluster.jobs().check_job(request).await;
    let checked = checked.map_err(|status| refused(&status))?.into_inner();
    let demand = checked.demand.clone().unwrap_or_default();
    let mut found = Vec::new();
    let mut is_cut = false;
    if !demand.shapes.is_empty() {
        let request = v1::RehearseDemandRequest {
            framework_id: checked.framework_id.clone(),
            role: spec.role.clone(),
            demand: Some(demand),
        };
        let answer = cluster.operator().rehearse_demand(request).await;
        let answer = answer.map_err(|status| refused(&status))?.into_inner();
        (found, is_cut) = (answer.shapes, answer.is_cut);
    }
    print(&rehearsal_text(
        &spec,
        checked.n_tasks,
        &found,
        is_cut,
        terminal_width(),
    ))?;
    Ok(0)
}

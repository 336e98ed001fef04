//! `proffer why`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;
use proffer_wire::v1::explain_framework_response::Part;
use tonic::{Code, Status};

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::print;
use crate::views::{StatusView, TaskView};

/// Explain why a job, a service or a task is not running, or a framework is not offered more
///
/// Names what stands in the way, counted by agents, with the nearest miss.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A job's name, a service's name, a task's id, or a framework's id or name
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// What was found out.
struct Explanation {
    reasons: Vec<String>,
    /// The framework that may be waiting for offers.
    waiting: Option<String>,
}

pub(super) async fn why(args: WhyArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let found = match job(&cluster, &args.name).await {
        Err(status) if elsewhere(&status) => match service(&cluster, &args.name).await {
            Err(status) if elsewhere(&status) => match framework(&cluster, &args.name).await? {
                Some(found) => found,
                None => task(&cluster, &args.name).await?,
            },
            other => other.map_err(|status| refused(&status))?,
        },
        other => other.map_err(|status| refused(&status))?,
    };
    let mut text = found
        .reasons
        .iter()
        .fold(String::new(), |text, reason| text + reason + "\n");
    if let Some(framework_id) = found.waiting {
        text.push_str(&not_offered(&cluster, framework_id).await?);
    }
    print(&text)?;
    Ok(0)
}

/// Not here: no such name, or no such framework. A name no client could give is no job's name either.
fn elsewhere(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::NotFound | Code::Unavailable | Code::Unimplemented | Code::InvalidArgument
    )
}

async fn job(cluster: &Cluster, name: &str) -> Result<Explanation, Status> {
    let job = cluster
        .jobs()
        .get_job(v1::GetJobRequest {
            name: name.to_owned(),
        })
        .await?
        .into_inner();
    let request = v1::ExplainJobRequest {
        name: name.to_owned(),
    };
    let reasons = cluster.jobs().explain_job(request).await?.into_inner().reasons;
    Ok(Explanation {
        reasons,
        waiting: (job.ended_ms == 0).then_some(job.framework_id),
    })
}

async fn service(cluster: &Cluster, name: &str) -> Result<Explanation, Status> {
    let view = cluster
        .services()
        .get_service(v1::GetServiceRequest {
            name: name.to_owned(),
        })
        .await?
        .into_inner();
    let request = v1::ExplainServiceRequest {
        name: name.to_owned(),
    };
    let reasons = cluster
        .services()
        .explain_service(request)
        .await?
        .into_inner()
        .reasons;
    Ok(Explanation {
        reasons,
        waiting: Some(view.framework_id),
    })
}

async fn task(cluster: &Cluster, id: &str) -> Result<Explanation> {
    let Ok(task) = cluster.find_task(id).await else {
        anyhow::bail!(
            "no job, service, framework or task `{id}`; `proffer job list`, `proffer service list` and `proffer tasks --all` show them"
        );
    };
    let status = task
        .latest_status
        .clone()
        .map(StatusView::from)
        .unwrap_or_default();
    let view = TaskView::from(task);
    let reason = match status.why() {
        why if why.is_empty() => format!("Task {id} is {}.", view.state()),
        why => format!("Task {id} is {}: {why}.", view.state()),
    };
    Ok(Explanation {
        reasons: vec![reason],
        waiting: None,
    })
}

/// The one framework of that id or name, if any.
async fn framework(cluster: &Cluster, name: &str) -> Result<Option<Explanation>> {
    let answer = cluster
        .operator()
        .list_frameworks(v1::ListFrameworksRequest {})
        .await;
    let mut all = answer.map_err(|status| refused(&status))?.into_inner().frameworks;
    all.retain(|one| one.framework_id == name || one.info.as_ref().is_some_and(|info| info.name == name));
    let ids: Vec<&str> = all.iter().map(|one| one.framework_id.as_str()).collect();
    anyhow::ensure!(
        ids.len() < 2,
        "several frameworks are called `{name}`; name one of {}",
        ids.join(", ")
    );
    Ok(all.pop().map(|one| Explanation {
        reasons: Vec::new(),
        waiting: Some(one.framework_id),
    }))
}

/// Why the framework is not offered more, for everything it waits for.
async fn not_offered(cluster: &Cluster, framework_id: String) -> Result<String> {
    let request = v1::ExplainFrameworkRequest { framework_id };
    let answer = cluster.operator().explain_framework(request).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    // That it wants nothing in one role is no answer while it wants something in another.
    let is_waiting = |part: &Part| part.shape_id.is_some() || part.reasons.iter().any(|one| one.count > 0);
    let waits = answer.parts.iter().any(is_waiting);
    let mut text = String::new();
    for part in answer.parts.iter().filter(|part| is_waiting(part) || !waits) {
        writeln!(text, "The allocator about {}:", part.wanted)?;
        for counted in &part.reasons {
            writeln!(text, "  - {}", counted.reason)?;
        }
    }
    if answer.n_left_out > 0 {
        writeln!(text, "It waits for {} more shapes.", answer.n_left_out)?;
    }
    Ok(text)
}

//! `proffer why`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;
use proffer_wire::v1::explain_framework_response::Part;
use proffer_wire::v1::resource::Value;
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
    waiting: Option<Waiting>,
}

/// A framework that may be waiting for offers.
struct Waiting {
    framework_id: String,
    /// What is asked about, where that is not all of it.
    of: Option<Wanted>,
}

/// The tasks of one job or service: a framework has many.
struct Wanted {
    role: String,
    /// Of one task each.
    tasks: Vec<v1::Resources>,
}

impl Wanted {
    fn new(role: &str, tasks: impl IntoIterator<Item = Option<v1::Resources>>) -> Self {
        Self {
            role: if role.is_empty() { "*" } else { role }.to_owned(),
            tasks: tasks.into_iter().flatten().collect(),
        }
    }

    fn includes(&self, part: &Part) -> bool {
        let shape = part.resources.as_ref().map(scalars);
        part.role == self.role
            && shape.is_none_or(|shape| self.tasks.iter().any(|task| scalars(task) == shape))
    }
}

/// What a shape keeps of a task's resources; of ports it has the number alone.
fn scalars(resources: &v1::Resources) -> BTreeMap<&str, f64> {
    let scalar = |item: &v1::Resource| match item.value {
        Some(Value::Scalar(scalar)) => Some(scalar),
        Some(Value::Ranges(_) | Value::Set(_)) | None => None,
    };
    let items = resources.items.iter();
    items
        .filter_map(|item| Some((item.name.as_str(), scalar(item)?)))
        .collect()
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
    if let Some(waiting) = found.waiting {
        text.push_str(&not_offered(&cluster, waiting).await?);
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
            limit: 1,
            ..Default::default()
        })
        .await?
        .into_inner();
    let request = v1::ExplainJobRequest {
        name: name.to_owned(),
    };
    let reasons = cluster.jobs().explain_job(request).await?.into_inner().reasons;
    Ok(Explanation {
        reasons,
        waiting: (job.ended_ms == 0).then(|| {
            let spec = job.spec.unwrap_or_default();
            let tasks = spec.tasks.into_iter().map(|task| task.resources);
            Waiting {
                framework_id: job.framework_id,
                of: Some(Wanted::new(&spec.role, tasks)),
            }
        }),
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
    let spec = view.spec.unwrap_or_default();
    let task = spec.task.and_then(|task| task.resources);
    Ok(Explanation {
        reasons,
        waiting: Some(Waiting {
            framework_id: view.framework_id,
            of: Some(Wanted::new(&spec.role, [task])),
        }),
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
        waiting: Some(Waiting {
            framework_id: one.framework_id,
            of: None,
        }),
    }))
}

/// Why the framework is not offered more, for what is asked about or else for everything it waits for.
async fn not_offered(cluster: &Cluster, waiting: Waiting) -> Result<String> {
    let request = v1::ExplainFrameworkRequest {
        framework_id: waiting.framework_id,
    };
    let answer = cluster.operator().explain_framework(request).await;
    let mut answer = answer.map_err(|status| refused(&status))?.into_inner();
    if let Some(wanted) = waiting.of {
        answer.parts.retain(|part| wanted.includes(part));
        // It may be among those left out only where it was not found.
        if !answer.parts.is_empty() {
            answer.n_left_out = 0;
        }
    }
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

#[cfg(test)]
mod tests {
    use proffer_types::Resources;

    use super::*;

    fn message(resources: &str) -> v1::Resources {
        (&resources.parse::<Resources>().unwrap()).into()
    }

    #[test]
    fn a_job_is_told_of_its_own_shapes_and_of_its_role() {
        let tasks = ["cpus:0.5;mem:1GiB;ports:[31000-31001]", "cpus:2"].map(|task| Some(message(task)));
        let wanted = Wanted::new("", tasks);
        let part = |role: &str, resources: Option<&str>| Part {
            role: role.to_owned(),
            resources: resources.map(message),
            ..Default::default()
        };
        assert!(wanted.includes(&part("*", Some("cpus:0.5;mem:1GiB"))));
        assert!(wanted.includes(&part("*", None)));
        assert!(!wanted.includes(&part("*", Some("cpus:0.5"))));
        assert!(!wanted.includes(&part("eng", Some("cpus:2"))));
    }
}

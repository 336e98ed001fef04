//! The script's words for what a scheduler does with offers, what it wants, and what an operator sets:
//!
//!     t1@a0:cpus:1[#7]                            a task, of shape 7; several in a row are one LAUNCH
//!     group:t1@a0:cpus:1&t2@a0:cpus:1             a LAUNCH_GROUP
//!     resume:t1&t2                                a RESUME
//!     p1/reserve:cpus:1>eng  /unreserve:cpus(+eng):1     a change named p1, and one without a name
//!     p1/create:disk(+eng):1GiB>data[:shared]  p1/destroy:data  p1/grow:data>1MiB  p1/shrink:data>1MiB
//!     7=cpus:1x3[@g1][~2][^4]                     three more tasks of shape 7, of gang 1, 2 s long, 4 an agent

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_master_core::OperatorRequest;
use proffer_types::{
    AgentId, ContainerSpec, GangId, KillPolicy, Limits, Operation, OperationId, Reservation, ResourceChange,
    ResourceName, Resources, Role, Shape, ShapeId, TaskId, TaskInfo, Volume, VolumeId,
};

/// The operations of an accept, in order.
pub(crate) fn operations(words: &[&str], agent_id: &dyn Fn(&str) -> AgentId) -> Vec<Operation> {
    let mut operations = Vec::new();
    for word in words {
        if let Some(tasks) = word.strip_prefix("group:") {
            let tasks = tasks.split('&').map(|word| task(word, agent_id));
            operations.push(Operation::LaunchGroup(tasks.collect()));
        } else if let Some(tasks) = word.strip_prefix("resume:") {
            let tasks = tasks.split('&').map(|task| TaskId::new(task).unwrap());
            operations.push(Operation::Resume(tasks.collect()));
        } else if let Some((id, change)) = change(word) {
            operations.push(Operation::Change { id, change });
        } else if let Some(Operation::Launch(tasks)) = operations.last_mut() {
            tasks.push(task(word, agent_id));
        } else {
            operations.push(Operation::Launch(vec![task(word, agent_id)]));
        }
    }
    operations
}

/// `t1@a0:cpus:1;mem:1GiB#7`
pub(crate) fn task(word: &str, agent_id: &dyn Fn(&str) -> AgentId) -> TaskInfo {
    let (word, shape) = word
        .split_once('#')
        .map_or((word, None), |(word, shape)| (word, Some(shape)));
    let (name, resources) = word.split_once(':').unwrap();
    let (id, agent) = name.split_once('@').unwrap();
    TaskInfo {
        id: TaskId::new(id).unwrap(),
        name: String::new(),
        agent_id: agent_id(agent),
        resources: resources.parse().unwrap(),
        container: ContainerSpec {
            command: vec!["true".to_owned()],
            ..ContainerSpec::default()
        },
        kill_policy: KillPolicy::default(),
        labels: Default::default(),
        max_completion_time: None,
        limits: Limits::default(),
        shape: shape.map(|shape| ShapeId(shape.parse().unwrap())),
        executor: None,
        data: Vec::new(),
    }
}

fn change(word: &str) -> Option<(Option<OperationId>, ResourceChange)> {
    let (head, what) = word.split_once(':')?;
    let (id, verb) = head.split_once('/')?;
    let (what, to) = what.split_once('>').unwrap_or((what, ""));
    let volume = || VolumeId::new(what).unwrap();
    let bytes = || {
        let disk: Resources = format!("disk:{to}").parse().unwrap();
        disk.disk_bytes()
    };
    let change = match verb {
        "reserve" => ResourceChange::Reserve {
            resources: what.parse().unwrap(),
            reservation: Reservation::dynamic(Role::new(to).unwrap()),
        },
        "unreserve" => ResourceChange::Unreserve {
            resources: what.parse().unwrap(),
        },
        "create" => {
            let (id, shared) = to.split_once(':').unwrap_or((to, ""));
            let volume = Volume {
                id: VolumeId::new(id).unwrap(),
                container_path: format!("/{id}"),
                shared: shared == "shared",
            };
            let disk = what.parse().unwrap();
            ResourceChange::Create { disk, volume }
        }
        "destroy" => ResourceChange::Destroy { volume: volume() },
        "grow" => ResourceChange::Grow {
            volume: volume(),
            addition_bytes: bytes(),
        },
        "shrink" => ResourceChange::Shrink {
            volume: volume(),
            subtract_bytes: bytes(),
        },
        unknown => panic!("no such change: {unknown}"),
    };
    Some((OperationId::new(id).ok(), change))
}

/// `7=cpus:1;mem:1GiBx3@g1~2^4`; `7=cpus:1x3&a0` resumes on `a0`.
pub(crate) fn shape(word: &str, agent_id: &dyn Fn(&str) -> AgentId) -> Shape {
    let (word, resumes_on) = optional(word, '&');
    let (word, max_per_agent) = optional(word, '^');
    let (word, seconds) = optional(word, '~');
    let (word, gang) = optional(word, '@');
    let (id, rest) = word.split_once('=').unwrap();
    let (resources, count) = rest.rsplit_once('x').unwrap();
    Shape {
        gang: gang.map(|gang| GangId(gang.strip_prefix('g').unwrap().parse().unwrap())),
        time_limit: seconds.map(|seconds| Duration::from_secs(seconds.parse().unwrap())),
        max_per_agent: max_per_agent.map(|max| max.parse().unwrap()),
        agent: resumes_on.map(agent_id),
        resumes: resumes_on.is_some(),
        ..Shape::new(
            ShapeId(id.parse().unwrap()),
            resources.parse().unwrap(),
            count.parse().unwrap(),
        )
    }
}

fn optional(word: &str, mark: char) -> (&str, Option<&str>) {
    word.rsplit_once(mark)
        .map_or((word, None), |(word, value)| (word, Some(value)))
}

/// `eng weight 2000 priority 3 guarantee cpus:1 limit cpus:2 force`; `nothing` is no guarantee or limit.
pub(crate) fn set_role(role: &str, words: &[&str]) -> OperatorRequest {
    let (mut weight_millis, mut priority, mut guarantee, mut limit) = (None, None, None, None);
    let resources = |text: &str| -> Resources {
        if text == "nothing" {
            Resources::new()
        } else {
            text.parse().unwrap()
        }
    };
    let mut rest = words;
    while let [word, value, after @ ..] = rest {
        match *word {
            "weight" => weight_millis = Some(value.parse().unwrap()),
            "priority" => priority = Some(value.parse().unwrap()),
            "guarantee" => guarantee = Some(resources(value)),
            "limit" => limit = Some(limits(&resources(value))),
            unknown => panic!("no such setting: {unknown}"),
        }
        rest = after;
    }
    OperatorRequest::SetRole {
        role: Role::new(role).unwrap(),
        weight_millis,
        priority,
        guarantee,
        limit,
        force: rest == ["force"],
    }
}

fn limits(resources: &Resources) -> BTreeMap<ResourceName, u64> {
    resources
        .scalars()
        .map(|(name, units)| (name.clone(), units))
        .collect()
}

//! Arbitrary valid values of proffer-types.

mod bundles;
mod container;
mod demand;
mod operation;

use std::sync::Arc;
use std::time::Duration;

use proffer_types::agent_link::{AgentMessage, MasterMessage, RegisteredOperation, RegisteredTask};
use proffer_types::scheduler_link::{Call, Event};
use proffer_types::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use self::container::container;

pub(crate) use self::bundles::resources;
pub(crate) use self::demand::quota;

const ID: &str = "[a-z0-9][a-zA-Z0-9._ -]{0,20}";
const TEXT: &str = "[a-zA-Z0-9 ./é-]{0,20}";

fn id<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    ID.prop_map(|text| text.parse().unwrap())
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof!["[a-z]{1,4}(/[a-z]{1,4}){0,2}", Just("*".to_owned())]
        .prop_map(|role| Role::new(role).unwrap())
}

/// Whole milliseconds, so that the wire loses nothing.
fn duration() -> impl Strategy<Value = Duration> {
    (0..1_u64 << 40).prop_map(Duration::from_millis)
}

/// Of heartbeats: none at all is another thing than one of zero.
fn interval() -> impl Strategy<Value = Duration> {
    duration().prop_map(|time| time + Duration::from_millis(1))
}

fn filters() -> impl Strategy<Value = Filters> {
    let refuse = 0..=u64::try_from(Filters::MAX.as_millis()).unwrap();
    (refuse, option::of(bundles::resources())).prop_map(|(ms, at_least)| Filters {
        refuse: Duration::from_millis(ms),
        at_least,
    })
}

fn kill_policy() -> impl Strategy<Value = KillPolicy> {
    option::of(duration()).prop_map(|grace_period| KillPolicy { grace_period })
}

fn task_info() -> impl Strategy<Value = TaskInfo> {
    (
        (id(), TEXT, id(), resources()),
        (container(), kill_policy(), btree_map(TEXT, TEXT, 0..4)),
        option::of(duration().prop_map(|time| time + Duration::from_millis(1))),
        (option::of(limit()), option::of(limit()), option::of(any::<u64>())),
    )
        .prop_map(
            |((id, name, agent_id, resources), (container, kill_policy, labels), time, limits)| TaskInfo {
                limits: Limits {
                    cpus: limits.0.map(|limit| limit.max(Limit::At(resources.cpu_millis()))),
                    mem: limits.1.map(|limit| limit.max(Limit::At(resources.mem_bytes()))),
                },
                shape: limits.2.map(ShapeId),
                id,
                name,
                agent_id,
                resources,
                container,
                kill_policy,
                labels,
                max_completion_time: time,
                executor: None,
                data: Vec::new(),
            },
        )
}

/// The executor of a task, where it has one in place of a container.
fn executor() -> impl Strategy<Value = Arc<ExecutorInfo>> {
    (id(), container()).prop_map(|(id, mut container)| {
        container.health = None;
        container.readiness = None;
        container.restart = Default::default();
        container.retention = Default::default();
        container.network.ports.clear();
        container.tty = false;
        container.stdin = false;
        container.cgroup.memory_min = None;
        container.cgroup.cpu_burst_us = None;
        Arc::new(ExecutorInfo { id, container })
    })
}

pub(crate) fn executed_task() -> impl Strategy<Value = TaskInfo> {
    (task_info(), executor(), vec(any::<u8>(), 0..50)).prop_map(|(info, executor, data)| TaskInfo {
        container: Default::default(),
        executor: Some(executor),
        data,
        ..info
    })
}

fn executor_update() -> impl Strategy<Value = ExecutorUpdate> {
    let states: Vec<_> = TaskState::ALL
        .into_iter()
        .filter(|state| ExecutorUpdate::is_for_executors(*state))
        .collect();
    (id(), proptest::sample::select(states), TEXT, any::<[u8; 16]>()).prop_map(
        |(task_id, state, message, uuid)| ExecutorUpdate {
            task_id,
            state,
            message,
            uuid: StatusUuid(uuid),
        },
    )
}

pub(crate) fn executor_call() -> impl Strategy<Value = ExecutorCall> {
    prop_oneof![
        vec(id(), 0..5).prop_map(|tasks| ExecutorCall::Subscribe { tasks }),
        executor_update().prop_map(ExecutorCall::Update),
    ]
}

pub(crate) fn executor_event() -> impl Strategy<Value = ExecutorEvent> {
    prop_oneof![
        (id(), id(), id()).prop_map(
            |(framework_id, agent_id, executor_id)| ExecutorEvent::Subscribed {
                framework_id,
                agent_id,
                executor_id,
            }
        ),
        executed_task().prop_map(ExecutorEvent::Launch),
        (id(), duration()).prop_map(|(task_id, grace)| ExecutorEvent::Kill { task_id, grace }),
        (id(), any::<[u8; 16]>()).prop_map(|(task_id, uuid)| ExecutorEvent::Acknowledged {
            task_id,
            uuid: StatusUuid(uuid),
        }),
        duration().prop_map(|grace| ExecutorEvent::Shutdown { grace }),
    ]
}

/// At least the task's own request is seen to by the task.
fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![(0..=1_u64 << 51).prop_map(Limit::At), Just(Limit::Infinite)]
}

fn domain() -> impl Strategy<Value = FaultDomain> {
    ("[a-z-]{1,5}", "[a-z-]{1,5}").prop_map(|(region, zone)| FaultDomain { region, zone })
}

fn state() -> impl Strategy<Value = TaskState> {
    proptest::sample::select(TaskState::ALL.to_vec())
}

fn condition() -> impl Strategy<Value = TaskCondition> {
    (
        option::of(any::<bool>()),
        option::of(any::<bool>()),
        any::<u32>(),
        vec(any::<std::net::IpAddr>(), 0..3),
        any::<u32>(),
    )
        .prop_map(
            |(healthy, ready, restarts, addresses, suspension)| TaskCondition {
                healthy,
                ready,
                restarts,
                addresses,
                suspension,
            },
        )
}

fn status() -> impl Strategy<Value = TaskStatus> {
    let reasons = StatusReason::ALL.to_vec();
    let exit = prop_oneof![
        any::<i32>().prop_map(TaskExit::Code),
        any::<i32>().prop_map(TaskExit::Signal)
    ];
    let io = any::<[u64; 4]>().prop_map(|[read_bytes, write_bytes, reads, writes]| IoUsage {
        read_bytes,
        write_bytes,
        reads,
        writes,
    });
    let usage = (any::<[u64; 5]>(), option::of(io)).prop_map(|([wall, cpu, mem, pids, oom], io)| Usage {
        wall_time_us: wall,
        cpu_time_us: cpu,
        mem_peak_bytes: mem,
        pids_refused: pids,
        oom_kills: oom,
        io,
    });
    (
        (id(), option::of(id()), state(), any::<bool>()),
        (option::of(proptest::sample::select(reasons)), TEXT, any::<u64>()),
        (
            option::of(any::<[u8; 16]>()),
            option::of(exit),
            option::of(usage),
            condition(),
        ),
    )
        .prop_map(
            |((task_id, agent_id, state, by_agent), (reason, message, ms), rest)| TaskStatus {
                task_id,
                agent_id,
                state,
                source: if by_agent {
                    StatusSource::Agent
                } else {
                    StatusSource::Master
                },
                reason,
                message,
                timestamp: Timestamp(ms),
                uuid: rest.0.map(StatusUuid),
                exit: rest.1,
                usage: rest.2,
                condition: rest.3,
            },
        )
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    vec(
        ("[a-z]{1,5}", TEXT).prop_map(|(name, value)| Attribute { name, value }),
        0..3,
    )
}

fn known_agent() -> impl Strategy<Value = KnownAgent> {
    (id(), agent_info(), any::<bool>()).prop_map(|(id, info, is_offered)| KnownAgent { id, info, is_offered })
}

fn agent_info() -> impl Strategy<Value = AgentInfo> {
    (
        (TEXT, 1..=u16::MAX, resources(), attributes()),
        (TEXT, TEXT, option::of(domain()), any::<bool>()),
    )
        .prop_map(
            |((hostname, port, resources, attributes), (version, cgroups, domain, can_suspend))| AgentInfo {
                hostname,
                address: format!("10.0.0.1:{port}"),
                resources,
                attributes,
                version,
                cgroups,
                domain,
                can_suspend,
            },
        )
}

fn framework_info() -> impl Strategy<Value = FrameworkInfo> {
    let service = ("[a-zA-Z0-9_.]{1,9}", 1..=u16::MAX).prop_map(|(name, port)| AdvertisedService {
        name,
        address: format!("[::1]:{port}"),
    });
    (
        (option::of(id()), TEXT, btree_set(role(), 1..4)),
        (duration(), vec(service, 0..3), btree_map(TEXT, TEXT, 0..3)),
        (demand::capabilities(), vec(option::of(demand::preferences()), 4)),
    )
        .prop_map(
            |((id, name, roles), (failover_timeout, services, labels), (capabilities, wanted))| {
                FrameworkInfo {
                    capabilities,
                    preferences: roles
                        .iter()
                        .cloned()
                        .zip(wanted)
                        .filter_map(|(role, preferences)| Some((role, preferences?)))
                        .collect(),
                    id,
                    name,
                    roles,
                    failover_timeout,
                    services,
                    labels,
                }
            },
        )
}

fn offer() -> impl Strategy<Value = Offer> {
    let shapes = vec((any::<u64>().prop_map(ShapeId), any::<u32>()), 0..3);
    let window = option::of(unavailability());
    let address = prop_oneof!["", r"10\.0\.0\.1:[1-9]"];
    let rest = (
        option::of(domain()),
        shapes,
        option::of(demand::gang()),
        window,
        address,
    );
    ((id(), id(), id(), TEXT), role(), resources(), attributes(), rest).prop_map(
        |((id, framework_id, agent_id, hostname), role, resources, attributes, rest)| {
            let (domain, shapes, gang, unavailability, address) = rest;
            Offer {
                id,
                framework_id,
                agent_id,
                hostname,
                address,
                role,
                resources,
                attributes,
                domain,
                shapes,
                gang,
                unavailability,
            }
        },
    )
}

fn unavailability() -> impl Strategy<Value = Unavailability> {
    (any::<u64>(), 1..u64::from(u32::MAX)).prop_map(|(start, duration)| Unavailability {
        start: Timestamp(start),
        duration: Duration::from_millis(duration),
    })
}

fn inverse_offer() -> impl Strategy<Value = InverseOffer> {
    let ids = (id(), id(), id());
    (ids, TEXT, unavailability(), any::<bool>(), resources()).prop_map(
        |((id, framework_id, agent_id), hostname, unavailability, is_drained, resources)| InverseOffer {
            id,
            framework_id,
            agent_id,
            hostname,
            unavailability,
            is_drained,
            resources,
        },
    )
}

fn uuid() -> impl Strategy<Value = StatusUuid> {
    any::<[u8; 16]>().prop_map(StatusUuid)
}

pub(crate) fn call() -> impl Strategy<Value = Call> {
    let roles = || btree_set(role(), 0..3);
    prop_oneof![
        (framework_info(), roles(), any::<bool>()).prop_map(|(info, suppressed_roles, adopt)| {
            Call::Subscribe {
                info,
                suppressed_roles,
                adopt,
            }
        }),
        (vec(id(), 0..3), vec(operation::operation(), 0..3), filters()).prop_map(
            |(offers, operations, filters)| Call::Accept {
                offers,
                operations,
                refused: Vec::new(),
                filters
            }
        ),
        (framework_info(), roles()).prop_map(|(info, suppressed_roles)| Call::Update {
            info,
            suppressed_roles
        }),
        demand::demand(),
        (id(), id(), uuid()).prop_map(|(agent_id, operation_id, uuid)| Call::AcknowledgeOperation {
            agent_id,
            operation_id,
            uuid
        }),
        vec((id(), option::of(id())), 0..3).prop_map(|operations| Call::ReconcileOperations { operations }),
        (vec(id(), 0..3), filters()).prop_map(|(offers, filters)| Call::Decline { offers, filters }),
        vec(id(), 0..3).prop_map(|offers| Call::AcceptInverse { offers }),
        (vec(id(), 0..3), filters()).prop_map(|(offers, filters)| Call::DeclineInverse {
            offers,
            refuse: filters.refuse
        }),
        roles().prop_map(|roles| Call::Revive { roles }),
        roles().prop_map(|roles| Call::Suppress { roles }),
        (id(), option::of(id()), kill_policy()).prop_map(|(task_id, agent_id, kill_policy)| Call::Kill {
            task_id,
            agent_id,
            kill_policy
        }),
        (id(), option::of(id())).prop_map(|(task_id, agent_id)| Call::Suspend { task_id, agent_id }),
        (id(), id(), uuid()).prop_map(|(agent_id, task_id, uuid)| Call::Acknowledge {
            agent_id,
            task_id,
            uuid
        }),
        vec((id(), option::of(id())), 0..3).prop_map(|tasks| Call::Reconcile { tasks }),
        Just(Call::Teardown),
        Just(Call::Ping),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (id(), id(), duration()).prop_map(|(framework_id, master_id, heartbeat_interval)| {
            Event::Subscribed {
                framework_id,
                master_id,
                heartbeat_interval,
            }
        }),
        vec(offer(), 1..3).prop_map(Event::Offers),
        id().prop_map(Event::Rescind),
        vec(inverse_offer(), 1..3).prop_map(Event::InverseOffers),
        id().prop_map(Event::RescindInverse),
        status().prop_map(Event::Update),
        operation::status().prop_map(Event::OperationUpdate),
        id().prop_map(Event::AgentLost),
        (id(), duration()).prop_map(|(agent_id, away_for)| Event::AgentAway { agent_id, away_for }),
        id().prop_map(Event::AgentBack),
        (any::<u32>(), vec(resources(), 0..3))
            .prop_map(|(n_agents, largest)| Event::Shapes { n_agents, largest }),
        (vec(known_agent(), 0..3), vec(id(), 0..3)).prop_map(|(agents, gone)| Event::Agents { agents, gone }),
        TEXT.prop_map(|message| Event::Error { message }),
        Just(Event::Heartbeat),
    ]
}

fn registered_task() -> impl Strategy<Value = RegisteredTask> {
    let owner = (id(), role(), option::of(id()));
    (owner, task_info(), status()).prop_map(|((framework_id, role, group), info, latest_status)| {
        RegisteredTask {
            framework_id,
            role,
            group,
            info,
            latest_status,
        }
    })
}

fn registered_operation() -> impl Strategy<Value = RegisteredOperation> {
    (id(), operation::status())
        .prop_map(|(framework_id, status)| RegisteredOperation { framework_id, status })
}

pub(crate) fn agent_message() -> impl Strategy<Value = AgentMessage> {
    prop_oneof![
        (
            (agent_info(), option::of(id())),
            vec(registered_task(), 0..4),
            vec(registered_operation(), 0..4)
        )
            .prop_map(|((info, agent_id), tasks, operations)| AgentMessage::Register {
                info,
                agent_id,
                tasks,
                operations,
            }),
        (id(), operation::status())
            .prop_map(|(framework_id, status)| AgentMessage::OperationUpdate { framework_id, status }),
        resources().prop_map(AgentMessage::Total),
        (id(), status(), state(), any::<u32>()).prop_map(
            |(framework_id, status, latest_state, latest_suspension)| AgentMessage::Status {
                framework_id,
                status,
                latest_state,
                latest_suspension
            }
        ),
        option::of(interval()).prop_map(|interval| AgentMessage::Heartbeat { interval }),
    ]
}

pub(crate) fn master_message() -> impl Strategy<Value = MasterMessage> {
    prop_oneof![
        (id(), id(), duration()).prop_map(|(agent_id, master_id, heartbeat_interval)| {
            MasterMessage::Registered {
                agent_id,
                master_id,
                heartbeat_interval,
            }
        }),
        (id(), role(), task_info()).prop_map(|(framework_id, role, info)| MasterMessage::RunTask {
            framework_id,
            role,
            info: Arc::new(info),
        }),
        (id(), role(), id(), vec(task_info(), 0..3)).prop_map(|(framework_id, role, group, tasks)| {
            MasterMessage::RunGroup {
                framework_id,
                role,
                group,
                tasks,
            }
        }),
        (id(), option::of(id()), operation::change()).prop_map(|(framework_id, id, change)| {
            MasterMessage::ApplyOperation {
                framework_id,
                id,
                change,
            }
        }),
        (id(), id(), uuid()).prop_map(|(framework_id, operation_id, uuid)| {
            MasterMessage::AcknowledgeOperation {
                framework_id,
                operation_id,
                uuid,
            }
        }),
        (id(), id(), kill_policy()).prop_map(|(framework_id, task_id, kill_policy)| {
            MasterMessage::KillTask {
                framework_id,
                task_id,
                kill_policy,
            }
        }),
        (id(), id()).prop_map(|(framework_id, task_id)| MasterMessage::SuspendTask {
            framework_id,
            task_id
        }),
        (id(), id(), any::<u32>()).prop_map(|(framework_id, task_id, suspension)| {
            MasterMessage::ResumeTask {
                framework_id,
                task_id,
                suspension,
            }
        }),
        (id(), id(), uuid()).prop_map(|(framework_id, task_id, uuid)| MasterMessage::AcknowledgeStatus {
            framework_id,
            task_id,
            uuid
        }),
        id().prop_map(|framework_id| MasterMessage::ShutdownFramework { framework_id }),
        TEXT.prop_map(|message| MasterMessage::Refused { message }),
        TEXT.prop_map(|message| MasterMessage::Gone { message }),
        option::of(interval()).prop_map(|interval| MasterMessage::Heartbeat { interval }),
    ]
}

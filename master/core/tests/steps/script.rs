//! The script's language, one command between bars:
//!
//!     agent a0 cpus:4;mem:1GiB [f0/t1=RUNNING..]   registers, with its tasks    frame-of-old-session a0
//!         [f0!p1=FINISHED..]                       and its operations
//!     framework f0 [role r]* [failover 5] [id f0] [adopt yes]   subscribes                 lost a0 | mute a0
//!         [shared yes] [host host-a1] [min cpus:1] what it can use and wants    update f0 ..  the same options
//!     accept f0 o0[,o1] [refuse 5] [OPERATION | t2!what-is-wrong]*              decline f0 o0 [refuse 5]
//!     accept-inverse f0 o0[,o1] | decline-inverse f0 o0 SECONDS
//!     demand f0 r SHAPE* | undemand f0 r           see `words` for operations, shapes and settings
//!     operation a0 f0/p1 FINISHED | ack-operation f0 p1 | reconcile-operations f0 [p1[@a0]]* | total a0 cpus:1
//!     status a0 f0/t1 RUNNING [FINISHED]   head of the queue, newest state      ack f0 t1
//!     RUNNING*2     RUNNING, in its second suspension                           suspend f0 t1
//!     kill f0 t1 [grace]   reconcile f0 [t1[@a0]]*   revive|suppress f0 [role]  teardown f0
//!     sleep 5      the master is dead or stuck meanwhile
//!     dial a0      the next registration comes on this link, however late
//!     role r SETTING* | reserve a0 cpus(+r):1 | unreserve a0 cpus(+r):1 | weight role millis
//!     deactivate a0 | reactivate a0 | gone a0 | drain a0,a1 [within 9] [grace 5] [at-once 1] [gone yes] | undrain a0,a1
//!     schedule w a0,a1 START SECONDS [grace 5]   START is `+5`, or seconds by the master's clock      cancel w
//!     removals 1 20 | recovery-removals 50      what limits removals; first of all
//!      operator-kill f0 t1 | operator-teardown f0 | wait 5 | restart | show shapes|away|registry|roles|answers

use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::Expect;
use proffer_master_core::{Command, OperatorRequest, RemovalLimit, RequestId, WindowStart};
use proffer_types::agent_link::{AgentMessage, RegisteredOperation, RegisteredTask};
use proffer_types::scheduler_link::{Call, RefusedTask};
use proffer_types::{
    AgentId, AgentInfo, Capabilities, Constraint, Filters, FrameworkId, FrameworkInfo, KillPolicy,
    OfferConstraints, OfferId, OfferPreferences, OperationId, OperationState, OperationStatus, Predicate,
    Role, Selector, Session, StatusReason, StatusSource, StatusUuid, TaskCondition, TaskId, TaskState,
    TaskStatus, Timestamp,
};

use crate::words;
use crate::world::World;

/// Plays a script against a fresh master and compares what everybody heard.
pub(crate) fn check(script: &str, expected: Expect) {
    expected.assert_eq(&play(script));
}

/// As [`check`], after what leads there, which is not shown.
pub(crate) fn check_after(before: &str, script: &str, expected: Expect) {
    let led_there = play(before);
    let whole = play(&format!("{before} | {script}"));
    expected.assert_eq(
        whole
            .strip_prefix(&led_there)
            .expect("the same commands do the same"),
    );
}

pub(crate) fn play(script: &str) -> String {
    let mut world = World::new("drf");
    for command in script.split(['|', '\n']).map(str::trim).filter(|c| !c.is_empty()) {
        world.say(&format!("> {command}"));
        world.command(&command.split_whitespace().collect::<Vec<_>>());
    }
    world.finish()
}

/// Plays the commands of a script that make sense when their turn comes: those of peers that have a link.
pub(crate) fn play_what_is_possible(allocator: &'static str, script: &[&str]) {
    let mut world = World::new(allocator);
    for command in script {
        let words: Vec<_> = command.split_whitespace().collect();
        let is_possible = match words.as_slice() {
            [
                "agent" | "framework" | "operator-teardown" | "weight" | "role" | "reserve" | "unreserve"
                | "wait" | "restart" | "deactivate" | "reactivate" | "gone" | "drain" | "undrain"
                | "schedule" | "cancel",
                ..,
            ] => true,
            ["ack", name, task] => {
                world.has_link(name)
                    && world
                        .uuids
                        .contains_key(&((*name).to_owned(), (*task).to_owned()))
            }
            ["status" | "operation" | "total", name, ..] => {
                world.has_link(name) && world.sessions.contains_key(*name)
            }
            [_, name, ..] => world.has_link(name),
            [_] | [] => false,
        };
        if is_possible {
            world.command(&words);
        }
    }
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs(text.parse().unwrap())
}

/// A state, and the suspension that the task is in.
fn state(text: &str) -> (TaskState, u32) {
    let (text, suspension) = text.split_once('*').unwrap_or((text, "0"));
    let mut states = TaskState::ALL.into_iter();
    let state = states.find(|state| state.as_str() == text).unwrap();
    (state, suspension.parse().unwrap())
}

fn refused_task(text: &str) -> RefusedTask {
    let (id, message) = text.split_once('!').unwrap();
    RefusedTask {
        id: TaskId::new(id).unwrap(),
        agent_id: None,
        reason: StatusReason::TaskInvalid,
        message: message.to_owned(),
    }
}

fn roles(names: &[&str]) -> BTreeSet<Role> {
    names.iter().map(|name| Role::new(name).unwrap()).collect()
}

impl World {
    fn command(&mut self, words: &[&str]) {
        match words {
            ["agent", name, total, tasks @ ..] => self.agent(name, total, tasks),
            ["framework", name, options @ ..] => self.framework(name, options),
            ["dial", name] => self.dial_ahead(name),
            ["lost", name] => self.lost(name),
            ["mute", name] => drop(self.muted.insert((*name).to_owned())),
            ["accept", name, offers, rest @ ..] => {
                let (filters, rest) = filters(rest);
                let (bad, good): (Vec<&str>, Vec<&str>) = rest.iter().partition(|task| task.contains('!'));
                let operations = words::operations(&good, &|name| self.agent_id(name));
                let refused = bad.into_iter().map(refused_task).collect();
                let offers = self.offers(offers);
                self.call(
                    name,
                    Call::Accept {
                        offers,
                        operations,
                        refused,
                        filters,
                    },
                );
            }
            ["decline", name, offers, rest @ ..] => {
                let offers = self.offers(offers);
                self.call(
                    name,
                    Call::Decline {
                        offers,
                        filters: filters(rest).0,
                    },
                );
            }
            ["accept-inverse", name, offers] => {
                let offers = self.offers(offers);
                self.call(name, Call::AcceptInverse { offers });
            }
            ["decline-inverse", name, offers, refuse] => {
                let (offers, refuse) = (self.offers(offers), seconds(refuse));
                self.call(name, Call::DeclineInverse { offers, refuse });
            }
            ["demand", name, role, shapes @ ..] => {
                let shapes: Vec<_> = shapes
                    .iter()
                    .map(|shape| words::shape(shape, &|name| self.agent_id(name)))
                    .collect();
                let demand = Some(shapes.into());
                let role = Role::new(role).unwrap();
                self.call(name, Call::Demand { role, demand });
            }
            ["undemand", name, role] => {
                let (role, demand) = (Role::new(role).unwrap(), None);
                self.call(name, Call::Demand { role, demand });
            }
            ["update", name, options @ ..] => {
                let (info, suppressed_roles) = (self.info(name, options), BTreeSet::new());
                self.call(
                    name,
                    Call::Update {
                        info,
                        suppressed_roles,
                    },
                );
            }
            ["operation", agent, operation, state] => {
                let (framework, id) = operation.split_once('/').unwrap();
                let (link, session) = (self.link(agent), self.sessions[*agent]);
                let messages = vec![AgentMessage::OperationUpdate {
                    framework_id: self.owner(framework),
                    status: self.operation_status(id, state),
                }];
                self.step(Command::AgentFrame {
                    link,
                    session,
                    messages,
                });
            }
            ["total", agent, total] => {
                let (link, session) = (self.link(agent), self.sessions[*agent]);
                let messages = vec![AgentMessage::Total(total.parse().unwrap())];
                self.step(Command::AgentFrame {
                    link,
                    session,
                    messages,
                });
            }
            ["ack-operation", name, id] => {
                let (agent, uuid) = self.uuids[&((*name).to_owned(), (*id).to_owned())].clone();
                let (agent_id, operation_id) = (self.agent_id(&agent), OperationId::new(id).unwrap());
                self.call(
                    name,
                    Call::AcknowledgeOperation {
                        agent_id,
                        operation_id,
                        uuid,
                    },
                );
            }
            ["reconcile-operations", name, operations @ ..] => {
                let operations = operations.iter().map(|word| {
                    let (id, agent) = word
                        .split_once('@')
                        .map_or((*word, None), |(id, agent)| (id, Some(agent)));
                    let agent = agent.map(|agent| self.agent_id(agent));
                    (OperationId::new(id).unwrap(), agent)
                });
                let operations = operations.collect();
                self.call(name, Call::ReconcileOperations { operations });
            }
            ["status", agent, task, head] => self.status(agent, task, head, head),
            ["status", agent, task, head, latest] => self.status(agent, task, head, latest),
            ["ack", name, task] => {
                let (agent, uuid) = self.uuids[&((*name).to_owned(), (*task).to_owned())].clone();
                let (agent_id, task_id) = (self.agent_id(&agent), TaskId::new(task).unwrap());
                self.call(
                    name,
                    Call::Acknowledge {
                        agent_id,
                        task_id,
                        uuid,
                    },
                );
            }
            ["kill", name, task, grace @ ..] => {
                let grace_period = grace.first().map(|grace| seconds(grace));
                let (task_id, kill_policy) = (TaskId::new(task).unwrap(), KillPolicy { grace_period });
                self.call(
                    name,
                    Call::Kill {
                        task_id,
                        agent_id: None,
                        kill_policy,
                    },
                );
            }
            ["suspend", name, task] => {
                let (task_id, agent_id) = (TaskId::new(task).unwrap(), None);
                self.call(name, Call::Suspend { task_id, agent_id });
            }
            ["reconcile", name, tasks @ ..] => {
                let tasks = tasks.iter().map(|task| self.named_task(task)).collect();
                self.call(name, Call::Reconcile { tasks });
            }
            ["revive", name, rest @ ..] => self.call(name, Call::Revive { roles: roles(rest) }),
            ["suppress", name, rest @ ..] => self.call(name, Call::Suppress { roles: roles(rest) }),
            ["teardown", name] => self.call(name, Call::Teardown),
            ["frame-of-old-session", name] => {
                let (link, session) = (self.link(name), Session(1));
                let messages = vec![AgentMessage::Heartbeat { interval: None }];
                self.step(Command::AgentFrame {
                    link,
                    session,
                    messages,
                });
            }
            ["removals", n, per] => {
                let (n, per) = (n.parse().unwrap(), seconds(per));
                self.set(|config| config.removal_limit = Some(RemovalLimit { n, per }));
            }
            ["recovery-removals", percent] => {
                let percent = percent.parse().unwrap();
                self.set(|config| config.recovery_removal_percent = percent);
            }
            ["wait", time] => self.wait(seconds(time)),
            ["deaf", time] => self.deaf(seconds(time)),
            ["sleep", time] => self.now = self.now.after(seconds(time)),
            ["restart"] => self.restart(),
            ["show", "shapes"] => self.shows_shapes = true,
            ["show", "away"] => self.shows_away = true,
            ["show", "answers"] => self.show_answers(),
            ["show", "roles"] => self.show_roles(),
            ["show", "registry"] => self.shows_registry = true,
            operator => self.operator(operator),
        }
    }

    fn operator(&mut self, words: &[&str]) {
        let operation = match words {
            ["weight", role, millis] => words::set_role(role, &["weight", millis]),
            ["role", role, settings @ ..] => words::set_role(role, settings),
            ["reserve", agent, resources] => OperatorRequest::Reserve {
                agent_id: self.agent_id(agent),
                resources: resources.parse().unwrap(),
            },
            ["unreserve", agent, resources] => OperatorRequest::Unreserve {
                agent_id: self.agent_id(agent),
                resources: resources.parse().unwrap(),
            },
            ["operator-kill", name, task] => OperatorRequest::KillTask {
                framework_id: self.framework_id(name),
                task_id: TaskId::new(task).unwrap(),
                kill_policy: KillPolicy::default(),
            },
            ["operator-teardown", name] => OperatorRequest::TeardownFramework {
                framework_id: self.framework_id(name),
            },
            ["deactivate", agent] => OperatorRequest::DeactivateAgent {
                agent_id: self.agent_id(agent),
            },
            ["reactivate", agent] => OperatorRequest::ReactivateAgent {
                agent_id: self.agent_id(agent),
            },
            ["gone", agent] => OperatorRequest::MarkAgentGone {
                agent_id: self.agent_id(agent),
            },
            ["undrain", agents] => OperatorRequest::UndrainAgents {
                agent_ids: agents.split(',').map(|agent| self.agent_id(agent)).collect(),
            },
            ["schedule", name, agents, start, duration, options @ ..] => {
                let name = (*name).to_owned();
                let after = start.strip_prefix('+').map(seconds).map(WindowStart::After);
                let at = || WindowStart::At(Timestamp(0).after(seconds(start)));
                OperatorRequest::ScheduleMaintenance {
                    name,
                    agent_ids: match *agents {
                        "nobody" => Vec::new(),
                        agents => agents.split(',').map(|agent| self.agent_id(agent)).collect(),
                    },
                    start: after.unwrap_or_else(at),
                    duration: seconds(duration),
                    max_grace: options.get(1).map(|grace| seconds(grace)),
                }
            }
            ["cancel", name] => OperatorRequest::CancelMaintenance {
                name: (*name).to_owned(),
            },
            ["drain", agents, options @ ..] => {
                let option = |name: &str| options.chunks(2).find(|option| option[0] == name);
                OperatorRequest::DrainAgents {
                    agent_ids: agents.split(',').map(|agent| self.agent_id(agent)).collect(),
                    max_grace: option("grace").map(|option| seconds(option[1])),
                    notice: option("within").map_or(Duration::ZERO, |option| seconds(option[1])),
                    mark_gone: option("gone").is_some(),
                    at_once: option("at-once").map(|option| option[1].parse().unwrap()),
                }
            }
            unknown => panic!("no such command: {unknown:?}"),
        };
        let request = RequestId(0);
        self.step(Command::Operator { request, operation });
    }

    fn call(&mut self, name: &str, call: Call) {
        let (link, calls) = (self.link(name), vec![call]);
        self.step(Command::SchedulerCalls { link, calls });
    }

    fn agent(&mut self, name: &str, total: &str, tasks: &[&str]) {
        let (peer, name) = (name, name.strip_suffix("(late)").unwrap_or(name));
        let agent_id = self.known.contains(name).then(|| self.agent_id(name));
        let info = AgentInfo {
            hostname: format!("host-{name}"),
            address: "127.0.0.1:1".to_owned(),
            resources: total.parse().unwrap(),
            attributes: Vec::new(),
            version: "test".to_owned(),
            cgroups: "cgroup v2".to_owned(),
            domain: None,
            can_suspend: true,
        };
        let (operations, tasks): (Vec<&str>, Vec<&str>) = tasks.iter().partition(|word| word.contains('!'));
        let tasks = tasks.iter().map(|task| self.registered(name, task)).collect();
        let operations = operations.iter().map(|word| {
            let (framework, rest) = word.split_once('!').unwrap();
            let (id, state) = rest.split_once('=').unwrap();
            RegisteredOperation {
                framework_id: self.owner(framework),
                status: self.operation_status(id, state),
            }
        });
        let operations = operations.collect();
        let link = self.dial(peer);
        self.step(Command::AgentRegister {
            link,
            info,
            agent_id,
            tasks,
            operations,
        });
    }

    fn info(&self, name: &str, options: &[&str]) -> FrameworkInfo {
        let mut id = self.known.contains(name).then(|| self.framework_id(name));
        let (mut own, mut failover_timeout) = (BTreeSet::new(), Duration::from_secs(3600));
        let (mut capabilities, mut wanted) = (Capabilities::default(), OfferPreferences::default());
        for option in options.chunks(2) {
            match option {
                ["role", role] => drop(own.insert(Role::new(role).unwrap())),
                ["failover", time] => failover_timeout = seconds(time),
                ["shared", "yes"] => capabilities.shared = true,
                ["agents", "yes"] => capabilities.agents = true,
                ["host", host] => {
                    let (selector, predicate) = (Selector::Hostname, Predicate::Equals((*host).to_owned()));
                    wanted.constraints = OfferConstraints::all_of(vec![Constraint { selector, predicate }]);
                }
                ["min", minimum] => wanted.min_allocatable = Some(vec![minimum.parse().unwrap()]),
                ["adopt", "yes"] => {}
                ["id", name] => id = Some(self.framework_id(name)),
                unknown => panic!("no such option: {unknown:?}"),
            }
        }
        if own.is_empty() {
            own.insert(Role::default());
        }
        let preferences = own.iter().map(|role| (role.clone(), wanted.clone()));
        let preferences = preferences
            .filter(|(_, wanted)| *wanted != OfferPreferences::default())
            .collect();
        FrameworkInfo {
            id,
            name: name.to_owned(),
            roles: own,
            failover_timeout,
            services: Vec::new(),
            labels: Default::default(),
            capabilities,
            preferences,
        }
    }

    fn framework(&mut self, name: &str, options: &[&str]) {
        let info = self.info(name, options);
        self.dial(name);
        let suppressed_roles = BTreeSet::new();
        self.call(
            name,
            Call::Subscribe {
                info,
                suppressed_roles,
                adopt: options.contains(&"adopt"),
            },
        );
    }

    fn lost(&mut self, name: &str) {
        let link = self.link(name);
        self.step(if name.contains('a') {
            Command::AgentLinkLost { link }
        } else {
            Command::SchedulerLinkLost { link }
        });
    }

    fn agent_id(&self, name: &str) -> AgentId {
        AgentId::new(self.id(name)).unwrap()
    }

    fn framework_id(&self, name: &str) -> FrameworkId {
        FrameworkId::new(self.id(name)).unwrap()
    }

    fn offers(&self, names: &str) -> Vec<OfferId> {
        names
            .split(',')
            .map(|name| OfferId::new(self.id(name)).unwrap())
            .collect()
    }

    /// `t1` or `t1@a0`
    fn named_task(&self, text: &str) -> (TaskId, Option<AgentId>) {
        let (id, agent) = text
            .split_once('@')
            .map_or((text, None), |(id, agent)| (id, Some(agent)));
        (TaskId::new(id).unwrap(), agent.map(|agent| self.agent_id(agent)))
    }

    /// `f0/t1=RUNNING`; every listed task has one core.
    fn registered(&mut self, agent: &str, text: &str) -> RegisteredTask {
        let (name, latest) = text.split_once('=').unwrap();
        let (framework, id) = name.split_once('/').unwrap();
        RegisteredTask {
            framework_id: self.framework_id(framework),
            role: self.roles.get(name).cloned().unwrap_or_default(),
            group: None,
            info: words::task(&format!("{id}@{agent}:cpus:1"), &|name| self.agent_id(name)),
            latest_status: self.task_status(id, latest),
        }
    }

    /// The master's own operations have no framework.
    fn owner(&self, name: &str) -> FrameworkId {
        if name == "master" {
            FrameworkId::new(name).unwrap()
        } else {
            self.framework_id(name)
        }
    }

    fn operation_status(&mut self, id: &str, state: &str) -> OperationStatus {
        self.n_uuids += 1;
        let mut states = OperationState::ALL.into_iter();
        OperationStatus {
            operation_id: OperationId::new(self.id_of_operation(id)).unwrap(),
            agent_id: None,
            state: states.find(|known| known.as_str() == state).unwrap(),
            message: String::new(),
            timestamp: self.now,
            uuid: Some(StatusUuid([self.n_uuids; 16])),
        }
    }

    fn status(&mut self, agent: &str, task: &str, head: &str, latest: &str) {
        let (framework, id) = task.split_once('/').unwrap();
        let (link, session) = (self.link(agent), self.sessions[agent]);
        let messages = vec![AgentMessage::Status {
            framework_id: self.framework_id(framework),
            status: self.task_status(id, head),
            latest_state: state(latest).0,
            latest_suspension: state(latest).1,
        }];
        self.step(Command::AgentFrame {
            link,
            session,
            messages,
        });
    }

    fn task_status(&mut self, id: &str, word: &str) -> TaskStatus {
        self.n_uuids += 1;
        let (state, suspension) = state(word);
        TaskStatus {
            task_id: TaskId::new(id).unwrap(),
            agent_id: None,
            state,
            source: StatusSource::Agent,
            reason: None,
            message: String::new(),
            timestamp: self.now,
            uuid: Some(StatusUuid([self.n_uuids; 16])),
            exit: None,
            usage: None,
            condition: TaskCondition {
                suspension,
                ..TaskCondition::default()
            },
        }
    }
}

fn filters<'a>(words: &'a [&'a str]) -> (Filters, &'a [&'a str]) {
    match words {
        ["refuse", time, rest @ ..] => (Filters::refuse(seconds(time)), rest),
        rest => (Filters::NONE, rest),
    }
}

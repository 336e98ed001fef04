//! The effects of an agent's core, one by one.
//!
//! They are carried out in order. What a failed checkpoint was to come before is left out, signals and the freezer
//! excepted, and the core is told before anything else. A crash may come between any two of them.

use proffer_agent_core::{Command, ContainerId, Effect, LinkId, Output, TaskKey};
use proffer_types::agent_link::AgentMessage;
use proffer_types::{Session, TaskStatus};

use crate::facts::Fact;
use crate::machine::{MachineEvent, State};
use crate::network::{Direction, Frame, Peer, StreamId};
use crate::sabotage::Sabotage;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn agent_carries_out(&mut self, n: usize, out: Output) {
        let permille = self.scenario.faults.midway_permille;
        let dies_at =
            (!out.effects.is_empty() && self.mishap(permille)).then(|| self.dice.index(out.effects.len()));
        let mut failed: Vec<(ContainerId, bool)> = Vec::new();
        let mut resources_failed = false;
        let mut frames: Vec<(LinkId, Session, Vec<AgentMessage>)> = Vec::new();
        for (index, effect) in out.effects.into_iter().enumerate() {
            if dies_at == Some(index) {
                self.agent_sends(n, &mut frames);
                self.crash_agent(n);
                return;
            }
            if matches!(effect, Effect::CheckpointResources(_))
                && self.mishap(self.scenario.faults.checkpoint_permille)
            {
                resources_failed = true;
                continue;
            }
            if resources_failed && is_of_operations(&effect) {
                continue;
            }
            let skipped = self
                .container_of(n, &effect)
                .and_then(|id| failed.iter_mut().find(|(failed, _)| *failed == id));
            let goes_on = matches!(effect, Effect::Signal { .. } | Effect::Freezer { .. });
            if let Some((_, launch_skipped)) = skipped
                && !goes_on
            {
                *launch_skipped |= matches!(effect, Effect::Launch { .. });
                continue;
            }
            if let Some(container_id) = self.agent_does(n, effect, &mut frames) {
                failed.push((container_id, false));
            }
        }
        self.agent_sends(n, &mut frames);
        if resources_failed {
            let error = "no space left on device".to_owned();
            self.agent_steps(n, Command::ResourcesFailed { error });
        }
        for (container_id, launch_skipped) in failed {
            let error = "no space left on device".to_owned();
            self.agent_steps(
                n,
                Command::CheckpointFailed {
                    container_id,
                    launch_skipped,
                    error,
                },
            );
        }
    }

    /// The container an effect is for; a report is for its task's.
    fn container_of(&self, n: usize, effect: &Effect) -> Option<ContainerId> {
        match effect {
            Effect::CheckpointTask { container_id, .. }
            | Effect::CheckpointState { container_id, .. }
            | Effect::Renew { container_id, .. }
            | Effect::Forget { container_id }
            | Effect::Launch { container_id, .. }
            | Effect::Adopt { container_id, .. }
            | Effect::Signal { container_id, .. }
            | Effect::Freezer { container_id, .. }
            | Effect::Destroy { container_id } => Some(*container_id),
            Effect::Send {
                message: AgentMessage::Status {
                    framework_id, status, ..
                },
                ..
            } => {
                let key = TaskKey {
                    framework_id: framework_id.clone(),
                    task_id: status.task_id.clone(),
                };
                self.agents[n].disk.container(&key)
            }
            Effect::Send { .. }
            | Effect::AbortLaunch { .. }
            | Effect::RunChecks { .. }
            | Effect::SaveAgentId(_)
            | Effect::CheckpointExecutor { .. }
            | Effect::Executor { .. }
            | Effect::CheckpointResources(_)
            | Effect::CloseLink { .. }
            | Effect::Exit { .. } => None,
        }
    }

    /// Carries one effect out. Returns the container whose checkpoint failed, if one did.
    fn agent_does(
        &mut self,
        n: usize,
        effect: Effect,
        frames: &mut Vec<(LinkId, Session, Vec<AgentMessage>)>,
    ) -> Option<ContainerId> {
        match effect {
            Effect::SaveAgentId(id) => {
                self.observe(&Fact::AgentId { agent: n, id: &id });
                self.agents[n].disk.agent_id = Some(id);
            }
            Effect::CheckpointResources(mut record) => {
                if self.sabotage == Some(Sabotage::ForgetsOperations) && self.mishap(500) {
                    record.operations.clear();
                }
                self.observe(&Fact::OperationsKept {
                    agent: n,
                    operations: &record.operations,
                });
                self.agents[n].disk.resources = record;
            }
            Effect::CheckpointTask { container_id, task } => {
                if self.mishap(self.scenario.faults.checkpoint_permille) {
                    return Some(container_id);
                }
                self.agents[n].disk.put_task(container_id, task);
            }
            Effect::CheckpointState { container_id, state } => {
                if self.mishap(self.scenario.faults.checkpoint_permille) {
                    return Some(container_id);
                }
                if self.sabotage != Some(Sabotage::ForgetsCheckpoints) || !self.mishap(100) {
                    self.agents[n].disk.put_state(container_id, state);
                }
                self.checkpointed(n, container_id);
            }
            Effect::Renew {
                old,
                container_id,
                state,
            } => {
                if self.mishap(self.scenario.faults.checkpoint_permille) {
                    return Some(container_id);
                }
                self.agents[n].disk.renew(old, container_id, state);
                self.checkpointed(n, container_id);
            }
            Effect::Forget { container_id } => {
                let key = self.agents[n].disk.key(container_id);
                self.agents[n].disk.forget(container_id);
                if let Some(key) = key {
                    self.observe(&Fact::Checkpointed {
                        key: &key,
                        pending: &[],
                        passing: &[],
                    });
                }
            }
            Effect::Launch {
                container_id,
                framework_id,
                group: _,
                info,
                replaces,
            } => {
                if let Some(old) = replaces {
                    self.agents[n].machine.remove(old);
                }
                let key = TaskKey {
                    framework_id,
                    task_id: info.id.clone(),
                };
                self.launch(n, container_id, &key, &info, replaces.is_some());
            }
            Effect::Adopt {
                container_id,
                process,
                frozen,
            } => {
                self.adopt(n, container_id, process);
                self.freezer(n, container_id, frozen);
            }
            Effect::Freezer { container_id, freeze } => {
                self.freezer(n, container_id, freeze);
                if freeze {
                    self.frozen(n, container_id);
                }
            }
            // Sometimes the preparation is past the point where it can be.
            Effect::AbortLaunch { container_id } => {
                if self.dice.chance(500) {
                    self.machine(n, container_id, MachineEvent::Up { fails: true });
                }
            }
            Effect::RunChecks {
                container_id, info, ..
            } => self.run_checks(n, container_id, &info),
            Effect::CheckpointExecutor { .. } | Effect::Executor { .. } => {
                unreachable!("the simulated frameworks have no executors")
            }
            Effect::Signal { container_id, signal } => {
                if let Some(exit) = self.agents[n].machine.signalled(container_id, signal) {
                    let delay = self.dice.millis(0..500);
                    let event = MachineEvent::End(exit);
                    self.queue.after(
                        delay,
                        Happening::Machine {
                            agent: n,
                            container: container_id,
                            event,
                        },
                    );
                }
            }
            Effect::Destroy { container_id } => {
                let gone = self.agents[n].machine.remove(container_id);
                if gone.is_some_and(|container| !matches!(container.state, State::Ended(..))) {
                    self.break_rule(
                        "a container is destroyed after its end",
                        format!("agent {n}: {container_id}"),
                    );
                }
            }
            Effect::Send {
                link,
                session,
                message,
            } => {
                if let AgentMessage::Status {
                    framework_id, status, ..
                } = &message
                {
                    let key = TaskKey {
                        framework_id: framework_id.clone(),
                        task_id: status.task_id.clone(),
                    };
                    self.reported(n, &key, status);
                }
                match frames
                    .last_mut()
                    .filter(|(last, of, _)| *last == link && *of == session)
                {
                    Some((_, _, messages)) => messages.push(message),
                    None => frames.push((link, session, vec![message])),
                }
            }
            Effect::CloseLink { link } => {
                self.agent_sends(n, frames);
                self.agent_closes(n, StreamId(link.0));
            }
            Effect::Exit { error } => {
                self.break_rule("an agent goes on", format!("agent {n} ended: {error:?}"));
            }
        }
        None
    }

    fn agent_sends(&mut self, n: usize, frames: &mut Vec<(LinkId, Session, Vec<AgentMessage>)>) {
        for (link, session, messages) in frames.drain(..) {
            if self.agents[n].stream == Some(StreamId(link.0)) {
                self.send(
                    StreamId(link.0),
                    Direction::Up,
                    Frame::FromAgent { session, messages },
                );
            }
        }
    }

    fn agent_closes(&mut self, n: usize, stream: StreamId) {
        if self.agents[n].stream != Some(stream) {
            return;
        }
        self.close(stream, Direction::Up);
        self.agents[n].stream = None;
        let life = self.agents[n].life;
        if self.dice.chance(500) {
            let command = Command::LinkDown {
                link: LinkId(stream.0),
            };
            self.queue.after(
                std::time::Duration::ZERO,
                Happening::Answer {
                    agent: n,
                    life,
                    command,
                },
            );
        }
        self.redial(Peer::Agent(n), life);
    }

    fn checkpointed(&mut self, n: usize, container: ContainerId) {
        let disk = &self.agents[n].disk;
        let Some(key) = disk.key(container) else { return };
        let (pending, passing) = (disk.pending(container), disk.passing(container));
        self.observe(&Fact::Checkpointed {
            key: &key,
            pending: &pending,
            passing: &passing,
        });
    }

    fn reported(&mut self, n: usize, key: &TaskKey, status: &TaskStatus) {
        let disk = &self.agents[n].disk;
        let container = disk.container(key);
        let on_disk = container.map(|id| status.uuid.is_some_and(|uuid| disk.pending(id).contains(&uuid)));
        self.observe(&Fact::Reported {
            key,
            state: status.state,
            uuid: status.uuid,
            on_disk,
        });
    }
}

/// What waits for the checkpoint of the resources.
fn is_of_operations(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Send {
            message: AgentMessage::OperationUpdate { .. } | AgentMessage::Total(_),
            ..
        }
    )
}

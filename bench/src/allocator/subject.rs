//! What the shapes ask of an allocator and its books: the same of ours and of the reference.

use proffer_types::{AgentId, FrameworkId, Quota, Resources, Role, TaskId};

/// One offer that was made and is not answered.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    /// Counted from 0.
    pub(crate) id: usize,
    pub(crate) framework: FrameworkId,
    pub(crate) role: Role,
    pub(crate) agent: AgentId,
    pub(crate) resources: Resources,
}

/// A task on an agent.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) framework: FrameworkId,
    pub(crate) role: Role,
    pub(crate) task: TaskId,
    pub(crate) resources: Resources,
}

/// What becomes of an offer, or of what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    None,
    ForEver,
}

/// Books and an allocator over them.
pub(crate) trait Subject {
    fn add_framework(&mut self, framework: &FrameworkId, role: &Role);
    fn suppress(&mut self, framework: &FrameworkId, role: &Role);
    /// States, instead of what was stated before, that so many tasks of one size are wanted.
    fn demand(&mut self, framework: &FrameworkId, role: &Role, one: &Resources, count: u64);
    fn set_quota(&mut self, role: &Role, quota: &Quota);
    /// Adds an active agent with what runs there.
    fn add_agent(&mut self, agent: &AgentId, total: &Resources, running: &[Running]);
    fn update_agent(&mut self, agent: &AgentId, total: &Resources);
    fn remove_agent(&mut self, agent: &AgentId);
    /// Makes every offer that can be made now. The reference looks at every agent, as Mesos does every second.
    fn cycle(&mut self);
    /// The same at once after a change, where the reference does so: an agent joined or has another total.
    fn react(&mut self);
    /// Takes the offers made since the last time.
    fn take_offers(&mut self) -> Vec<Offered>;
    /// Turns an offer into tasks and gives the rest of it back.
    fn answer(&mut self, offer: &Offered, tasks: &[Running], filter: Filter);
    fn end_task(&mut self, agent: &AgentId, task: &Running);
}

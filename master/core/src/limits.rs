//! How much a peer may send, and how much the master remembers.

use std::time::Duration;

/// The largest weight of a role, in thousandths: a million to one is far beyond any use.
pub const MAX_WEIGHT_MILLIS: u64 = 1_000_000_000;
/// Roles with a setting of their own: more than any organisation has, small enough to keep.
pub const MAX_CONFIGURED_ROLES: usize = 10_000;
/// Completed tasks kept per framework, as in Mesos.
pub const MAX_COMPLETED_TASKS: usize = 1_000;
/// Completed frameworks kept, so that their ids stay spent.
pub const MAX_COMPLETED_FRAMEWORKS: usize = 1_000;
/// Unreachable agents kept, so that they come back whole; a tenth of what Mesos keeps.
pub const MAX_UNREACHABLE_AGENTS: usize = 10_000;
/// Agents that operators declared gone, whose ids stay spent; as many as are kept unreachable.
pub const MAX_GONE_AGENTS: usize = 10_000;
/// Agents that a limit may let become unreachable at a time, which are remembered.
pub const MAX_REMOVALS: u32 = 10_000;
/// Agents named in one operator's request: a large cluster's, and one store write of some MiB.
pub const MAX_AGENTS_PER_REQUEST: usize = 1_000;
/// Maintenance windows of one agent, to come or begun: more than anybody plans ahead, small enough to keep.
pub const MAX_WINDOWS_PER_AGENT: usize = 16;
/// Bytes of a maintenance window's name.
pub const MAX_WINDOW_NAME_BYTES: usize = 64;
/// How long before its start a maintenance window may be scheduled: a year, and not a date with a wrong digit.
pub const MAX_WINDOW_AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// After an inverse offer was declined it is not made again for this time at least: whoever declines at once would else be
/// asked without end.
pub const MIN_INVERSE_REFUSAL: Duration = Duration::from_secs(1);
/// The shortest maintenance window: in less, no agent is drained.
pub const MIN_WINDOW: Duration = Duration::from_secs(1);
/// The longest maintenance window: what is away for longer is deactivated.
pub const MAX_WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest that frameworks have to leave an agent that is drained: who wants it empty some day deactivates it.
pub const MAX_DRAIN_NOTICE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Roles of one framework.
pub const MAX_FRAMEWORK_ROLES: usize = 100;
/// Services one framework may advertise.
pub const MAX_SERVICES: usize = 16;
/// Tasks in one accept: keeps one call within a few milliseconds.
pub const MAX_TASKS_PER_ACCEPT: usize = 10_000;
/// Tasks of one group, as on the wire.
pub const MAX_TASKS_PER_GROUP: usize = 256;
/// Operations of one agent that are not acknowledged: half of what an agent takes before it ends its link.
pub const MAX_OPERATIONS_PER_AGENT: usize = 500;
/// Labels of one task or framework.
pub const MAX_LABELS: usize = 128;
/// Bytes of one task's or framework's labels, keys and values.
pub const MAX_LABELS_BYTES: usize = 32 << 10;
/// Bytes of one task's command and environment: the kernel's own order of magnitude for an exec.
pub const MAX_COMMAND_BYTES: usize = 256 << 10;
/// Bytes of a name for people.
pub const MAX_NAME_BYTES: usize = 1 << 10;
/// Resource names of one task or agent.
pub const MAX_RESOURCE_NAMES: usize = 64;
/// Alternatives of a smallest offer.
pub const MAX_MIN_ALLOCATABLE: usize = 64;
/// Ranges of one resource of one task or agent.
pub const MAX_RANGES: usize = 1_000;
/// Sizes of agents told to frameworks; more are rounded up to their common maximum.
pub const MAX_SHAPES: usize = 16;
/// Heartbeat intervals of silence after which a link is lost.
pub const MISSED_HEARTBEATS: u32 = 3;
/// How often an agent and the master say something to each other, where there is nothing to say: the death of a host is
/// noticed after three times that.
pub const AGENT_HEARTBEAT: Duration = Duration::from_secs(1);
/// Longer intervals are multiples of this: a cluster that grows tells each agent another one a few times only.
pub const AGENT_HEARTBEAT_STEP: Duration = Duration::from_millis(500);
/// Heartbeats that are due within this time are said at once: ten steps a second, however many agents there are.
pub const HEARTBEATS_TOGETHER: Duration = Duration::from_millis(100);
/// The most heartbeats of agents in a second, some hundredths of a core: beyond, they are as much rarer.
pub const MAX_AGENT_HEARTBEATS_A_SECOND: u32 = 2_000;
/// The most tasks of one page: their names have to be looked up, a microsecond or two each. So whoever asks for a thousand
/// at a time, and for whether there are more, is answered by one.
pub const MAX_TASKS_PER_PAGE: usize = 2_000;
/// The most tasks that are looked at for one page, wanted or not: about a millisecond.
pub const MAX_TASKS_LOOKED_AT: usize = 8_000;

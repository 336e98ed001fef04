//! One file per command.

pub(crate) mod accept;
pub(crate) mod acknowledge;
pub(crate) mod agent_gone;
pub(crate) mod agent_lost;
pub(crate) mod agent_register;
pub(crate) mod agent_status;
pub(crate) mod away;
pub(crate) mod calls;
pub(crate) mod demand;
pub(crate) mod drain;
pub(crate) mod framework_gone;
pub(crate) mod inverse;
pub(crate) mod kill;
pub(crate) mod maintenance;
pub(crate) mod offers;
pub(crate) mod operation;
pub(crate) mod operator;
pub(crate) mod orphans;
pub(crate) mod reconcile;
pub(crate) mod removal;
pub(crate) mod reserve;
pub(crate) mod set_role;
pub(crate) mod subscribe;
pub(crate) mod tick;
pub(crate) mod update;
pub(crate) mod upkeep;

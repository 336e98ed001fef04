//! One file per command, and per message of the master.

pub(crate) mod acknowledge;
pub(crate) mod acknowledge_operation;
pub(crate) mod apply_operation;
pub(crate) mod check_result;
pub(crate) mod checkpoint_failed;
pub(crate) mod executor;
pub(crate) mod exited;
pub(crate) mod gone;
pub(crate) mod group;
pub(crate) mod kill_task;
pub(crate) mod launch_failed;
pub(crate) mod launched;
pub(crate) mod limit_exceeded;
pub(crate) mod link_down;
pub(crate) mod link_up;
pub(crate) mod master_frame;
pub(crate) mod preparing;
pub(crate) mod recover;
pub(crate) mod registered;
pub(crate) mod resources_failed;
pub(crate) mod restart;
pub(crate) mod run_group;
pub(crate) mod run_task;
pub(crate) mod shutdown_framework;
pub(crate) mod stop;
pub(crate) mod tick;

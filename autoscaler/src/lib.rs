//! The autoscaler of agents.

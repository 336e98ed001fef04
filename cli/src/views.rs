//! What lists and tables show of the wire's messages: the stable JSON of `-o json`, and the cells of tables.
//!
//! Field names are snake_case with the unit at the end, states lower case without prefix, reasons in Mesos's words.

mod agent;
mod domain;
mod file;
mod framework;
mod image;
mod job;
mod maintenance;
mod offer;
mod role;
mod service;
mod statistics;
mod task;
mod text;
mod upkeep;
mod usage;

pub(crate) use agent::AgentView;
pub(crate) use file::{FileView, is_directory, is_plain_file};
pub(crate) use framework::FrameworkView;
pub(crate) use image::ImageView;
pub(crate) use job::{
    Glance, Ink, JobSummaryView, JobView, MAX_SHOWN_WHOLE, QueueRow, QueueView, RunView, Seen, Trouble,
    WindowView, rehearsal_text,
};
pub(crate) use maintenance::{MaintainedView, MaintenanceView};
pub(crate) use offer::OfferView;
pub(crate) use role::RoleView;
pub(crate) use service::{
    ConfigView, EndpointsView, PoliciesView, ScalingView, ServiceSummaryView, ServiceView, VersionView,
    plan_text,
};
pub(crate) use statistics::StatisticsView;
pub(crate) use task::{ActiveTask, StatusView, TaskView, is_terminal};
pub(crate) use text::{grouped, instance_name, now_ms, state_name};
pub(crate) use usage::{ReportView, UsageView};

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

pub(crate) use agent::AgentView;
pub(crate) use file::{FileView, is_directory, is_plain_file};
pub(crate) use framework::FrameworkView;
pub(crate) use image::ImageView;
pub(crate) use job::{JobSummaryView, JobView, WindowView};
pub(crate) use maintenance::{MaintainedView, MaintenanceView};
pub(crate) use offer::OfferView;
pub(crate) use role::RoleView;
pub(crate) use service::{ServiceSummaryView, ServiceView};
pub(crate) use statistics::StatisticsView;
pub(crate) use task::{ActiveTask, StatusView, TaskView, is_terminal};
pub(crate) use text::{instance_name, state_name};

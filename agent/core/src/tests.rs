//! The agent driven by text: one line in, the effects as text out.

mod checks;
mod executors;
mod groups;
mod life;
mod operations;
mod property;
mod restarts;
mod suspend;
mod world;

//! The agent driven by text: one line in, the effects as text out.

mod groups;
mod life;
mod operations;
mod property;
mod world;

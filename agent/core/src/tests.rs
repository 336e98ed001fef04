//! The agent driven by text: one line in, the effects as text out.

mod life;
mod property;
mod world;

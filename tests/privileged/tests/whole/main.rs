//! The whole agent on a real kernel, with tasks that have everything a task can have.

mod crash;
mod damage;
mod leaks;
mod left;
mod life;
mod master;
mod memory;
mod shortage;
mod upgrade;
mod world;

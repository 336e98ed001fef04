//! The scheduler as a whole: text in, text out, and random runs.

mod autoscale;
mod bounds;
mod configs;
mod converge;
mod demand;
mod deployments;
mod discovery;
mod leaving;
mod losses;
mod neighbours;
mod places;
mod policies;
mod rules;
mod world;

/// A scheduler without services.
fn empty() -> crate::Services {
    crate::Services::new(crate::Pool::default(), crate::Key::new([7; 32]))
}

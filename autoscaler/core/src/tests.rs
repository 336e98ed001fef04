//! What the autoscaler decides, in small worlds and under random ones.

mod cases;
mod random;
mod world;

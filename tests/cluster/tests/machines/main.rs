//! Machines with kernels of their own, on one network: they lose their power, their cables and their time.

mod clock;
mod partition;
mod power;
mod shortage;
mod site;
mod slow_disk;

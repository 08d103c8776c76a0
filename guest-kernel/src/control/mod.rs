//! What vCPU 0 does for the toolstack and for whoever types on the console, and the suspend.

mod audit;
mod balloon;
mod bench;
pub mod ending;
mod fill;
#[cfg(feature = "switches")]
mod plant;
#[cfg(feature = "switches")]
mod rehearse;
mod strays;
mod suspend;
pub mod toolstack;
pub mod unused;

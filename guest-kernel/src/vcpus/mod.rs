//! The vCPUs: the loop each runs, what they do together, and one coming or going.

mod admission;
pub mod hotplug;
pub mod life;
pub mod park;
pub mod requests;
pub mod trim;

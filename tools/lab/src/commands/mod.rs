//! The commands of `cargo lab` that are no suite, benchmark or report.

pub mod by_hand;
pub mod completions;
pub mod demo;
pub mod demo_pv;
pub mod doctor;
pub mod life;
pub mod trial;
pub mod up;

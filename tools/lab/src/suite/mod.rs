//! Every test, on the host and on Xen.

mod agreement;
mod args;
mod c_guest;
mod c_library;
mod differential;
mod example;
mod guide;
mod host;
mod layers;
mod list;
mod minimal;
mod on_xen;
mod run;
pub mod scenarios;
pub mod soak;
#[cfg(test)]
mod vectors;
mod worker;

pub use args::Args;
pub use run::run;

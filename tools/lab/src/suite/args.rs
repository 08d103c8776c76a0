//! Options of `cargo lab test`.

use crate::host::xen_build::Xen;

/// Options of `cargo lab test`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only tests whose name contains this; those called long/NAME run only if it is NAME or begins
    /// with "long"
    pub filter: Option<String>,
    /// Runs the lab tests on this hypervisor instead of the one each needs
    #[arg(long)]
    pub xen: Option<Xen>,
    /// Name the tests and run none
    #[arg(long)]
    pub list: bool,
    /// Tests at the same time, each with its own machine if it needs one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub jobs: u8,
    /// Stop at the first lab test that fails and leave its machine running
    #[arg(long)]
    pub keep: bool,
    /// One JSON object per test and one for the sums
    #[arg(long)]
    pub json: bool,
}

//! The console's `fill N`: so many sets are cached, spread over the vCPUs. For measurements, with
//! `churn=off live=0`.

use crate::cmdline;
use crate::sets::pool::{self, MAX_CACHED};
use crate::vcpus::requests;
use crate::xen::report::{self, Party};
use crate::xen::{calls, cpus};

/// Caches `words` sets, a number, within `limit` nanoseconds for each vCPU: an equal part on every
/// online vCPU, as far as its cache holds it, and the rest in the depot.
pub fn run(words: &str, limit: u64) {
    let Some(total) = words
        .parse::<usize>()
        .ok()
        .filter(|&total| total <= MAX_CACHED)
    else {
        return log::info!("`fill {words}`: a number from 0 to {MAX_CACHED} is needed");
    };
    // Whole batches of construction, so that no vCPU's cache runs over into the depot.
    let share = (total / cpus::online().count().max(1)).min(cmdline::MAX_PREFILL)
        / pool::CONSTRUCT_BATCH
        * pool::CONSTRUCT_BATCH;
    pool::make_room(total);
    if let Err(stuck) = requests::fill_caches(share, limit) {
        return report::error(Party::Guest, "fill", stuck);
    }
    let others: u64 = cpus::online()
        .filter(|&cpu| cpu != 0)
        .map(pool::cached)
        .sum();
    pool::fill_depot(total.saturating_sub(others as usize));
    let possible = || 0..calls::max_vcpus();
    let depot = pool::figures().depot;
    report::event("filled")
        .num("sets", possible().map(pool::cached).sum::<u64>() + depot)
        .nums("cached", possible().map(pool::cached))
        .num("depot", depot)
        .send();
}

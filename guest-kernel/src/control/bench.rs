//! The console's `bench`: what making, unmaking, taking and draining sets costs on this Xen. Best
//! with `churn=off`.

use crate::cmdline;
use crate::sets::measure::{self, Cost};
use crate::vcpus::requests;
use crate::xen::report::{self, Party};
use crate::xen::{cpus, time};

/// Each figure is that of the middle round, by cycles per set. (Not the quickest: on some machines
/// the counters of two CPUs differ, and a vCPU that moves between two readings would win with a
/// figure that means nothing.)
const ROUNDS: usize = 5;
/// Takes from the cache that are measured together.
const PAIRS: u64 = 1000;

/// Measures and reports; each wait for another vCPU takes `limit` nanoseconds at most. On vCPU 0.
pub fn run(limit: u64) {
    for (one_by_one, how) in [(false, "batched"), (true, "single")] {
        let rounds = || (0..ROUNDS).filter_map(move |_| measure::measure_backend(one_by_one));
        say("construct", how, middle(rounds().map(|(made, _)| made)));
        say("destruct", how, middle(rounds().map(|(_, unmade)| unmade)));
    }
    say(
        "hit",
        "single",
        middle((0..ROUNDS).filter_map(|_| measure::measure_hits(PAIRS))),
    );
    for (one_by_one, how) in [(false, "batched"), (true, "single")] {
        let rounds =
            (0..ROUNDS).filter_map(
                |_| match requests::fill_caches(cmdline::MAX_PREFILL, limit) {
                    Ok(()) => measure::measure_drain(one_by_one, time::now() + limit),
                    Err(stuck) => {
                        report::error(Party::Guest, "bench", stuck);
                        None
                    }
                },
            );
        say("drain", how, middle(rounds));
    }
    report::event("bench-end")
        .nums("online", cpus::online().map(|cpu| cpu as u64))
        .send();
}

fn middle(rounds: impl Iterator<Item = Cost>) -> Option<Cost> {
    let mut seen = [None; ROUNDS];
    let mut count = 0;
    for cost in rounds.take(ROUNDS) {
        seen[count] = Some(cost);
        count += 1;
    }
    let per_set = |cost: &Option<Cost>| cost.map_or(0, |cost| cost.cycles / cost.sets.max(1));
    seen[..count].sort_unstable_by_key(per_set);
    seen[..count].get(count / 2).copied().flatten()
}

fn say(what: &str, how: &str, cost: Option<Cost>) {
    let Some(cost) = cost else {
        return report::error(
            Party::Guest,
            "bench",
            format_args!("{what}, {how}: it failed"),
        );
    };
    report::event("bench")
        .text("what", what)
        .text("how", how)
        .num("sets", cost.sets)
        .num("hypercalls", cost.hypercalls)
        .num("cycles", cost.cycles)
        .num("ns", cost.ns)
        .send();
}

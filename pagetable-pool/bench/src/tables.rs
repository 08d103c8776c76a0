//! The figures as tables and as JSON.

use std::fmt::Write;

use crate::designs::NAMES;
use crate::held_off::{HeldOff, Spread, PAUSE};
use crate::latency::{Drains, ROUNDS, SETS_EACH};
use crate::{Figures, CALL_NS, SET_NS};

impl Figures {
    /// How much faster than the fastest other, at one thread.
    fn ratio(&self) -> f64 {
        let others = self.pairs[2..]
            .iter()
            .map(|(_, ns)| ns[0])
            .fold(f64::INFINITY, f64::min);
        others / self.pairs[0].1[0]
    }

    /// Hit pairs of the three designs, nanoseconds at each number of threads.
    fn hits_of_designs(&self) -> [&Vec<f64>; 3] {
        [&self.pairs[0].1, &self.hits[0], &self.hits[1]]
    }

    pub fn json(&self) -> String {
        let mut out = String::from("{\"v\":2,");
        match &self.instructions {
            Ok(counts) => write!(
                out,
                "\"instructions_per_hit_pair\":{:.1},\"instructions_of_designs\":{counts:.1?},",
                counts[0]
            ),
            Err(reason) => write!(
                out,
                "\"instructions_per_hit_pair\":null,\"skipped\":{reason:?},"
            ),
        }
        .expect("a string takes it");
        let list = |items: Vec<String>| items.join(",");
        let pairs = self.pairs.iter().map(|(name, ns)| {
            let ns = ns.iter().map(|ns| format!("{ns:.2}")).collect();
            format!("{{\"name\":\"{name}\",\"ns_per_pair\":[{}]}}", list(ns))
        });
        let hits = NAMES.iter().zip(self.hits_of_designs());
        let hits =
            hits.map(|(name, ns)| format!("{{\"name\":\"{name}\",\"ns_per_pair\":{ns:.2?}}}"));
        let drains = self.drains.iter().map(|row| {
            format!(
                "{{\"cpus\":{},\"sets_each\":{},\"ns\":{},\"backend_calls\":{},\"tlb_flushes\":{}}}",
                row.cpus, row.sets_each, row.ns, row.backend_calls, row.tlb_flushes
            )
        });
        let latencies = self.latencies.iter().map(|row| {
            let designs = row.designs.iter().map(|drains| {
                format!(
                    "{{\"shortest_ns\":{},\"median_ns\":{},\"wake_ups_of_an_idle_cpu\":{:.2},\"ns_of_an_idle_cpu\":{:.0}}}",
                    drains.shortest_ns, drains.median_ns, drains.wake_ups, drains.idle_ns
                )
            });
            format!("{{\"cpus\":{},\"designs\":[{}]}}", row.cpus, list(designs.collect()))
        });
        let spread =
            |spread: &Spread| format!("[{},{},{}]", spread.least, spread.median, spread.most);
        let held_off = self.held_off.iter().map(|held| {
            format!(
                "{{\"drains\":{},\"sets\":{},\"drainer_ns\":{},\"other_cpu_ns\":{},\"undisturbed_ns\":{},\"refused\":{:.3},\
                 \"cached_again\":{}}}",
                held.drains,
                held.sets,
                held.drainer,
                spread(&held.in_drains),
                spread(&held.undisturbed),
                held.refused,
                held.cached_again
            )
        });
        let misses = self.misses.iter().map(|(batch, miss, hit)| {
            format!("{{\"batch\":{batch},\"miss_ns\":{miss:.0},\"hit_ns\":{hit:.2}}}")
        });
        write!(
            out,
            "\"threads\":{:?},\"pairs\":[{}],\"times_faster_than_fastest_other\":{:.2},\"designs\":[{}],\"drains\":[{}],\
             \"latencies\":[{}],\"held_off\":[{}],\"hypercall_ns\":{CALL_NS},\"set_ns\":{SET_NS},\"misses\":[{}]}}",
            self.threads,
            list(pairs.collect()),
            self.ratio(),
            list(hits.collect()),
            list(drains.collect()),
            list(latencies.collect()),
            list(held_off.collect()),
            list(misses.collect()),
        )
        .expect("a string takes it");
        out
    }

    pub fn markdown(&self) -> String {
        let mut out = Page(String::new());
        self.pairs_table(&mut out);
        self.drains_table(&mut out);
        self.designs_table(&mut out);
        self.latencies_table(&mut out);
        self.held_off_table(&mut out);
        self.misses_table(&mut out);
        out.0
    }

    /// Headings for each number of threads.
    fn threads_row(&self) -> String {
        let threads = self.threads.iter();
        let headings = threads.map(|n| format!("{n} thread{}", if *n == 1 { "" } else { "s" }));
        headings.collect::<Vec<_>>().join(" | ")
    }

    /// A pool's cells, and how it stands to ours.
    fn pairs_cells(&self, ns: &[f64]) -> String {
        let cells = ns.iter().map(|ns| format!("{ns:.2}"));
        let cells = cells.collect::<Vec<_>>().join(" | ");
        format!("{cells} | {:.1} × |", ns[0] / self.pairs[0].1[0])
    }

    fn pairs_table(&self, out: &mut Page) {
        out.line(match &self.instructions {
            Ok(counts) => format!(
                "Instructions of a get+put hit pair, counted by callgrind: **{:.1}**.\n",
                counts[0]
            ),
            Err(reason) => format!("Instructions of a get+put hit pair: not counted ({reason}).\n"),
        });
        out.line(
            "Take one and give it back, nanoseconds of processor time a pair, the slowest \
         thread's (the median of 9 runs):\n",
        );
        out.line(format!("| pool | {} | at 1 thread |", self.threads_row()));
        out.line(format!("|---|{}---|", "---|".repeat(self.threads.len())));
        for (name, ns) in &self.pairs {
            out.line(format!("| {name} | {}", self.pairs_cells(ns)));
        }
        out.line(format!(
            "\nAt 1 thread, {:.1} times as fast as the fastest of the others.\n",
            self.ratio()
        ));
    }

    fn drains_table(&self, out: &mut Page) {
        out.line("A drain with every other CPU idle, on a backend that costs nothing (the shortest of 7 runs):\n");
        out.line("| CPUs | sets in each cache | microseconds | ns a CPU | backend calls | sets a call | TLB flushes |");
        out.line("|---|---|---|---|---|---|---|");
        for row in &self.drains {
            let sets = row.cpus * row.sets_each;
            let each = if row.backend_calls == 0 {
                "-".into()
            } else {
                format!("{:.1}", sets as f64 / row.backend_calls as f64)
            };
            out.line(format!(
                "| {} | {} | {:.1} | {:.0} | {} | {each} | {} |",
                row.cpus,
                row.sets_each,
                row.ns as f64 / 1e3,
                row.ns as f64 / row.cpus as f64,
                row.backend_calls,
                row.tlb_flushes
            ));
        }
    }

    fn designs_table(&self, out: &mut Page) {
        out.line(
            "\nA hit pair of the three designs, nanoseconds as above, the two others without \
         counters or generations:\n",
        );
        out.line(format!(
            "| design | instructions | {} | at 1 thread |",
            self.threads_row()
        ));
        out.line(format!(
            "|---|---|{}---|",
            "---|".repeat(self.threads.len())
        ));
        for (at, ns) in self.hits_of_designs().into_iter().enumerate() {
            let counted = match &self.instructions {
                Ok(counts) => format!("{:.1}", counts[at]),
                Err(_) => "-".into(),
            };
            out.line(format!(
                "| {} | {counted} | {}",
                NAMES[at],
                self.pairs_cells(ns)
            ));
        }
    }

    fn latencies_table(&self, out: &mut Page) {
        let micros = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
        out.line(format!(
            "\nA drain with every other CPU idle and {} sets in each cache, on a backend that \
             costs nothing: microseconds, the shortest \
             of {} (the median), and what one idle CPU pays for one drain:\n",
            SETS_EACH, ROUNDS
        ));
        out.line(format!(
            "| CPUs | {} | {} | {} | to ours (medians) | wake-ups of an idle CPU | its processor time, µs |",
            NAMES[0], NAMES[1], NAMES[2]
        ));
        out.line("|---|---|---|---|---|---|---|");
        for row in &self.latencies {
            let each = |cell: &dyn Fn(&Drains) -> String, between| {
                row.designs
                    .iter()
                    .map(cell)
                    .collect::<Vec<_>>()
                    .join(between)
            };
            let ours = row.designs[0].median_ns as f64;
            out.line(format!(
                "| {} | {} | {:.1} ×, {:.0} × | {} | {} |",
                row.cpus,
                each(
                    &|drains| format!(
                        "{} ({})",
                        micros(drains.shortest_ns),
                        micros(drains.median_ns)
                    ),
                    " | "
                ),
                row.designs[1].median_ns as f64 / ours,
                row.designs[2].median_ns as f64 / ours,
                each(&|drains| format!("{:.0}", drains.wake_ups), ", "),
                each(&|drains| micros(drains.idle_ns as u64), ", "),
            ));
        }
    }

    fn held_off_table(&self, out: &mut Page) {
        out.line(format!(
            "\nWho is held off by a drain of 4 CPUs with 16 sets each, on a backend that burns \
             {CALL_NS} ns a call and {SET_NS} ns a \
             set (a stand-in for hypercalls); microseconds:\n"
        ));
        out.line(format!("| who | {} |", NAMES.join(" | ")));
        out.line("|---|---|---|---|");
        let micros = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
        let mut row = |what: &str, cell: &dyn Fn(&HeldOff) -> String| {
            let cells: Vec<_> = self.held_off.iter().map(cell).collect();
            out.line(format!("| {what} | {} |", cells.join(" | ")));
        };
        row(
            &format!(
                "the drainer, the others idle: the shortest drain ({} sets)",
                self.held_off[0].sets
            ),
            &|held| micros(held.drainer),
        );
        let spread = |of: &Spread| {
            [of.least, of.median, of.most]
                .map(|ns| format!("{:.1}", ns as f64 / 1e3))
                .join(", ")
        };
        row(
            "another that gets and puts all the while: its longest step in a drain, processor \
             time: least, median, most of the drains",
            &|held| spread(&held.in_drains),
        );
        row("the same in the time before each drain", &|held| {
            spread(&held.undisturbed)
        });
        row("of its gets meanwhile so many are refused", &|held| {
            format!("{:.0} %", 100.0 * held.refused)
        });
        row(
            &format!(
                "drains after which a set was cached again {} µs later, with the proof alive if there is one",
                PAUSE.as_micros()
            ),
            &|held| format!("{} of {}", held.cached_again, held.drains),
        );
    }

    fn misses_table(&self, out: &mut Page) {
        out.line("\nA miss against a hit on the same backend:\n");
        out.line("| sets constructed at a miss | a get that misses, ns | a hit, ns | ratio |");
        out.line("|---|---|---|---|");
        for (batch, miss, hit) in &self.misses {
            out.line(format!(
                "| {batch} | {miss:.0} | {hit:.2} | {:.0} |",
                miss / hit
            ));
        }
    }
}

struct Page(String);

impl Page {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }
}

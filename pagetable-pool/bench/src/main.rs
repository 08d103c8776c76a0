//! Figures of pagetable-pool.
//!
//! `--json` prints them as one JSON object; `--readme FILE` writes the tables between the two marks in FILE; else they go to
//! the terminal. `--tables FILE`, before either, writes them there as well. `--pairs N` does N hit pairs and nothing else: what callgrind counts.

mod backend;
mod drains;
mod pairs;

use std::fmt::Write;

/// What a hypercall costs in the figures with a simulated one: there and back, and for each set of four pages.
const CALL_NS: u32 = 500;
const SET_NS: u32 = 1000;

struct Figures {
    instructions: Result<f64, String>,
    threads: Vec<usize>,
    pairs: Vec<(&'static str, Vec<f64>)>,
    drains: Vec<drains::Row>,
    held_off: drains::HeldOff,
    misses: Vec<(usize, f64, f64)>,
}

impl Figures {
    fn measure() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads: Vec<_> = [1, 2, 4, 8]
            .into_iter()
            .filter(|&threads| threads <= cores)
            .collect();
        Figures {
            instructions: pairs::instructions(),
            pairs: pairs::compare(&threads),
            threads,
            drains: drains::drains(),
            held_off: drains::held_off(CALL_NS, SET_NS),
            misses: [1, 4]
                .into_iter()
                .map(|batch| {
                    let (miss, hit) = drains::miss(CALL_NS, SET_NS, batch);
                    (batch, miss, hit)
                })
                .collect(),
        }
    }

    /// How much faster than the fastest other, at one thread.
    fn ratio(&self) -> f64 {
        let others = self.pairs[2..]
            .iter()
            .map(|(_, ns)| ns[0])
            .fold(f64::INFINITY, f64::min);
        others / self.pairs[0].1[0]
    }

    fn json(&self) -> String {
        let mut out = String::from("{\"v\":1,");
        match &self.instructions {
            Ok(count) => write!(out, "\"instructions_per_hit_pair\":{count:.1},"),
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
        let drains = self.drains.iter().map(|row| {
            format!(
                "{{\"cpus\":{},\"sets_each\":{},\"ns\":{},\"backend_calls\":{},\"tlb_flushes\":{}}}",
                row.cpus, row.sets_each, row.ns, row.backend_calls, row.tlb_flushes
            )
        });
        let misses = self.misses.iter().map(|(batch, miss, hit)| {
            format!("{{\"batch\":{batch},\"miss_ns\":{miss:.0},\"hit_ns\":{hit:.2}}}")
        });
        write!(
            out,
            "\"threads\":{:?},\"pairs\":[{}],\"times_faster_than_fastest_other\":{:.2},\"drains\":[{}],\
             \"held_off\":{{\"drains\":{},\"sets\":{},\"drainer_ns\":{},\"other_cpu_median_ns\":{},\"other_cpu_worst_ns\":{}}},\
             \"hypercall_ns\":{CALL_NS},\"set_ns\":{SET_NS},\"misses\":[{}]}}",
            self.threads,
            list(pairs.collect()),
            self.ratio(),
            list(drains.collect()),
            self.held_off.drains,
            self.held_off.sets,
            self.held_off.drainer,
            self.held_off.other_median,
            self.held_off.other_worst,
            list(misses.collect()),
        )
        .expect("a string takes it");
        out
    }

    fn markdown(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(match &self.instructions {
            Ok(count) => format!(
                "Instructions of a get+put hit pair, counted by callgrind: **{count:.1}**.\n"
            ),
            Err(reason) => format!("Instructions of a get+put hit pair: not counted ({reason}).\n"),
        });
        line("Take one and give it back, nanoseconds of processor time a pair, the slowest thread's (the median of 9 runs):\n".into());
        line(format!(
            "| pool | {} | at 1 thread |",
            self.threads
                .iter()
                .map(|n| format!("{n} thread{}", if *n == 1 { "" } else { "s" }))
                .collect::<Vec<_>>()
                .join(" | ")
        ));
        line(format!("|---|{}---|", "---|".repeat(self.threads.len())));
        for (name, ns) in &self.pairs {
            let cells = ns
                .iter()
                .map(|ns| format!("{ns:.2}"))
                .collect::<Vec<_>>()
                .join(" | ");
            line(format!(
                "| {name} | {cells} | {:.1} × |",
                ns[0] / self.pairs[0].1[0]
            ));
        }
        line(format!(
            "\nAt 1 thread, {:.1} times as fast as the fastest of the others.\n",
            self.ratio()
        ));
        line("A drain with every other CPU idle, on a backend that costs nothing (the shortest of 7 runs):\n".into());
        line("| CPUs | sets in each cache | microseconds | ns a CPU | backend calls | sets a call | TLB flushes |".into());
        line("|---|---|---|---|---|---|---|".into());
        for row in &self.drains {
            let sets = row.cpus * row.sets_each;
            let each = if row.backend_calls == 0 {
                "-".into()
            } else {
                format!("{:.1}", sets as f64 / row.backend_calls as f64)
            };
            line(format!(
                "| {} | {} | {:.1} | {:.0} | {} | {each} | {} |",
                row.cpus,
                row.sets_each,
                row.ns as f64 / 1e3,
                row.ns as f64 / row.cpus as f64,
                row.backend_calls,
                row.tlb_flushes
            ));
        }
        line(format!(
            "\nWho is held off by a drain of 4 CPUs with 16 sets each, on a backend that burns {CALL_NS} ns a call and {SET_NS} ns a \
             set (a stand-in for hypercalls), {} drains each:\n",
            self.held_off.drains
        ));
        line("| who is held off | how long |".into());
        line("|---|---|".into());
        line(format!(
            "| the drainer, interrupts off, the others idle: the shortest drain ({} sets) | {:.1} µs |",
            self.held_off.sets,
            self.held_off.drainer as f64 / 1e3
        ));
        line(format!(
            "| another that gets and puts all the while: its longest get or put in a drain, processor time, median over the drains | {:.1} µs |",
            self.held_off.other_median as f64 / 1e3
        ));
        line(format!(
            "| the same, the worst drain | {:.1} µs |",
            self.held_off.other_worst as f64 / 1e3
        ));
        line("\nA miss against a hit on the same backend:\n".into());
        line("| sets constructed at a miss | a get that misses, ns | a hit, ns | ratio |".into());
        line("|---|---|---|---|".into());
        for (batch, miss, hit) in &self.misses {
            line(format!(
                "| {batch} | {miss:.0} | {hit:.2} | {:.0} |",
                miss / hit
            ));
        }
        out
    }
}

const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->";

fn write_readme(path: &str, tables: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let (before, rest) = text
        .split_once(BEGIN)
        .ok_or(format!("{path} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or(format!("{path} has no {END}"))?;
    std::fs::write(path, format!("{before}{BEGIN}{tables}{END}{after}"))
        .map_err(|error| format!("{path}: {error}"))
}

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (place, words) = match words[..] {
        ["--tables", place, ref rest @ ..] => (Some(place), rest),
        _ => (None, &words[..]),
    };
    let measure = || -> Result<Figures, String> {
        let figures = Figures::measure();
        if let Some(place) = place {
            std::fs::write(place, figures.markdown())
                .map_err(|error| format!("{place}: {error}"))?;
        }
        Ok(figures)
    };
    match *words {
        ["--pairs", count] => {
            let count = count.parse().map_err(|_| "--pairs needs a number")?;
            pairs::warm_ours(0);
            pairs::ours(0, count);
        }
        ["--json"] => println!("{}", measure()?.json()),
        ["--readme", path] => write_readme(path, &measure()?.markdown())?,
        [] => print!("{}", measure()?.markdown()),
        _ => return Err("usage: [--tables FILE] [--json | --readme FILE] | --pairs N".into()),
    }
    Ok(())
}

//! Figures of pagetable-pool.
//!
//! `--json` prints them as one JSON object; `--readme FILE` writes the tables between the two marks
//! in FILE; else they go to the terminal. `--tables FILE`, before either, writes them there as
//! well. `--pairs DESIGN N` does N hit pairs and nothing else: what callgrind counts.

mod backend;
mod design;
mod designs;
mod drains;
mod flat;
mod held_off;
mod latency;
mod locked;
mod pairs;
mod queued;
mod tables;

/// What a hypercall costs in the figures with a simulated one: there and back, and for each set of
/// four pages.
const CALL_NS: u32 = 500;
const SET_NS: u32 = 1000;

struct Figures {
    /// Of a hit pair of each of the three designs.
    instructions: Result<[f64; 3], String>,
    threads: Vec<usize>,
    pairs: Vec<(&'static str, Vec<f64>)>,
    /// Of the designs but ours.
    hits: [Vec<f64>; 2],
    drains: Vec<drains::Row>,
    latencies: Vec<latency::Latency>,
    held_off: [held_off::HeldOff; 3],
    misses: Vec<(usize, f64, f64)>,
}

/// As `--pairs` names them, in the order of [`designs::NAMES`].
const DESIGNS: [&str; 3] = ["ours", "locked", "queued"];

fn instructions() -> Result<[f64; 3], String> {
    let [ours, locked, queued] = DESIGNS.map(pairs::instructions);
    Ok([ours?, locked?, queued?])
}

impl Figures {
    fn measure() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads: Vec<_> = [1, 2, 4, 8]
            .into_iter()
            .filter(|&threads| threads <= cores)
            .collect();
        Figures {
            instructions: instructions(),
            pairs: pairs::compare(&threads),
            hits: designs::hits(&threads),
            threads,
            drains: drains::drains(),
            latencies: latency::latencies(),
            held_off: held_off::held_off(CALL_NS, SET_NS),
            misses: [1, 4]
                .into_iter()
                .map(|batch| {
                    let (miss, hit) = drains::miss(CALL_NS, SET_NS, batch);
                    (batch, miss, hit)
                })
                .collect(),
        }
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
        ["--pairs", design, count] => {
            let count = count.parse().map_err(|_| "--pairs needs a number")?;
            match design {
                "ours" => {
                    pairs::warm_ours(0);
                    pairs::ours(0, count);
                }
                "locked" => designs::locked_pairs(0, count),
                "queued" => designs::queued_pairs(0, count),
                _ => return Err(format!("--pairs knows {}", DESIGNS.join(", "))),
            }
        }
        ["--json"] => println!("{}", measure()?.json()),
        ["--readme", path] => write_readme(path, &measure()?.markdown())?,
        [] => print!("{}", measure()?.markdown()),
        _ => {
            return Err("usage: [--tables FILE] [--json | --readme FILE] | --pairs DESIGN N".into())
        }
    }
    Ok(())
}

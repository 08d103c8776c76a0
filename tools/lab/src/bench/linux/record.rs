//! What `labprobe watch` wrote down, and the figures in it. All times are of dom0's clock, taken
//! alike for both guests.

use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::child::Guarded;
use crate::base::stop;
use crate::guest::event::{self, Line};
use crate::host::channel::Channel;
use crate::host::labprobe;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `control/shutdown` of a domain was written.
    Store(u16),
    /// A domain has this state from now on.
    State(u16, State),
    /// The guest did user work.
    Work(Work),
}

/// A domain's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Held by the toolstack.
    Paused,
    /// It may run.
    Running,
    /// Suspended.
    Shutdown,
    /// There is no such domain any more.
    Gone,
}

/// What user work a line tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The first since it was booted.
    First,
    /// The first since it was suspended.
    Again,
    /// More of it.
    More,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds.
    pub at: i64,
    /// What.
    pub what: What,
}

/// Whether a console line tells of user work. Both guests say so: the Linux one's program with
/// `user-work`, ours with its events; `work` says that a vCPU has read an address space through its
/// user mapping.
fn work(line: &str) -> Option<Work> {
    match line.strip_prefix("user-work ") {
        Some("ready") => return Some(Work::First),
        Some(words) if words.starts_with("resumed") => return Some(Work::Again),
        Some(words) if words.starts_with("tick") => return Some(Work::More),
        _ => {}
    }
    match event::parse(line.as_bytes()) {
        Line::Event(event) => match event.ev.as_str() {
            "ready" => Some(Work::First),
            "work" => Some(Work::Again),
            "churn" => Some(Work::More),
            _ => None,
        },
        _ => None,
    }
}

/// Reads one line of `labprobe watch`; none if it is of no interest.
pub fn parse(line: &str) -> Option<Entry> {
    let (at, rest) = line.split_once(' ')?;
    let at = at.parse().ok()?;
    let (word, rest) = rest.split_once(' ')?;
    let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let what = match word {
        "store" => What::Store(first.parse().ok()?),
        "state" => What::State(
            first.parse().ok()?,
            match rest {
                "paused" => State::Paused,
                "running" => State::Running,
                "shutdown" => State::Shutdown,
                "gone" => State::Gone,
                _ => return None,
            },
        ),
        "line" => What::Work(work(rest)?),
        _ => return None,
    };
    Some(Entry { at, what })
}

/// The times of one suspend and return, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From the request to its acknowledgement.
    pub acknowledge: i64,
    /// From there until Xen has the domain suspended. None if that was seen before the
    /// acknowledgement was: xenstored told of it too late to say how long it took.
    pub suspend: Option<i64>,
    /// From when the domain (the old or the new one) may run again to the first user work.
    pub work: i64,
    /// From the acknowledgement to the first user work.
    pub gap: i64,
}

/// Finds them in what happened during one action.
///
/// # Errors
/// Names what did not happen.
pub fn times(entries: &[Entry]) -> Result<Times> {
    // The node of a domain that arrives is made meanwhile: only the one that suspends counts.
    let domain = entries.iter().find_map(|e| match e.what {
        What::State(domain, State::Shutdown) => Some(domain),
        _ => None,
    });
    let asked = entries.iter().find_map(|e| match e.what {
        What::Store(domain) => Some(domain),
        _ => None,
    });
    let domain = domain.or(asked).context("no request was written")?;
    let suspended = entries
        .iter()
        .find(|e| e.what == What::State(domain, State::Shutdown));
    let mut entries = entries.iter();
    let store = |entry: &&Entry| entry.what == What::Store(domain);
    let requested = entries.find(store).context("no request was written")?;
    let acknowledged = entries.find(store).context("it was not acknowledged")?;
    let suspended = suspended.context("the domain did not suspend")?;
    let running = entries
        .find(|e| matches!(e.what, What::State(_, State::Running)))
        .context("no domain ran again")?;
    let work = entries
        .find(|e| e.what == What::Work(Work::Again))
        .context("it did no user work again")?;
    Ok(Times {
        acknowledge: acknowledged.at - requested.at,
        suspend: Some(suspended.at - acknowledged.at).filter(|&ns| ns > 0),
        work: work.at - running.at,
        gap: work.at - acknowledged.at,
    })
}

/// From when a new domain may run to its first user work.
///
/// # Errors
/// If one did not come.
pub fn entry_to_work(entries: &[Entry]) -> Result<i64> {
    let mut entries = entries.iter();
    let running = entries
        .find(|e| matches!(e.what, What::State(_, State::Running)))
        .context("no domain ran")?;
    let work = entries
        .find(|e| e.what == What::Work(Work::First))
        .context("it did no user work")?;
    Ok(work.at - running.at)
}

/// A running `labprobe watch`.
pub struct Record {
    entries: Arc<Mutex<Vec<Entry>>>,
    /// All it wrote, for the run's folder.
    text: Arc<Mutex<String>>,
    _probe: Guarded,
}

impl Record {
    /// Begins to watch guests of this name.
    ///
    /// # Errors
    /// If dom0 does not take the program or it does not begin.
    pub fn begin(dom0: &Channel, name: &str) -> Result<Self> {
        labprobe::put(dom0)?;
        // Consoles of earlier guests of that name would be read again.
        let logs = format!("/var/log/xen/console/guest-{name}");
        let script = format!(
            ": > {logs}.log; : > {logs}--incoming.log; exec {} watch {name} 2>&1",
            labprobe::PLACE
        );
        let mut probe = dom0.stream(&script)?;
        let out = probe
            .child()
            .stdout
            .take()
            .context("labprobe has no output")?;
        let entries = Arc::new(Mutex::new(Vec::new()));
        let text = Arc::new(Mutex::new(String::new()));
        let (to, copy) = (entries.clone(), text.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let (Some(entry), Ok(mut to)) = (parse(&line), to.lock()) {
                    to.push(entry);
                }
                if let Ok(mut copy) = copy.lock() {
                    copy.push_str(&line);
                    copy.push('\n');
                }
            }
        });
        let record = Self {
            entries,
            text,
            _probe: probe,
        };
        stop::wait_for("labprobe in dom0", Duration::from_secs(30), || {
            let text = record.text();
            if let Some(why) = text.lines().find_map(|l| l.strip_prefix("labprobe: ")) {
                bail!("labprobe: {why}");
            }
            Ok(text.contains(" begun").then_some(()))
        })?;
        Ok(record)
    }

    /// How many entries there are.
    pub fn mark(&self) -> usize {
        self.entries.lock().map_or(0, |e| e.len())
    }

    /// Those from a mark on.
    pub fn since(&self, mark: usize) -> Vec<Entry> {
        let entries = self.entries.lock();
        entries.map_or_else(|_| Vec::new(), |e| e[mark.min(e.len())..].to_vec())
    }

    /// Everything, as it came.
    pub fn text(&self) -> String {
        self.text
            .lock()
            .map_or_else(|_| String::new(), |t| t.clone())
    }

    /// Waits until the entries from `mark` on satisfy `enough`.
    ///
    /// # Errors
    /// If they do not in time.
    pub fn wait(
        &self,
        what: &str,
        mark: usize,
        limit: Duration,
        enough: impl Fn(&[Entry]) -> bool,
    ) -> Result<()> {
        stop::wait_for(what, limit, || Ok(enough(&self.since(mark)).then_some(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Entry> {
        text.lines().filter_map(parse).collect()
    }

    const MIGRATE: &str = "100 begun\n\
        1000 store 5 suspend\n1200 state 6 paused\n1300 store 6 \n1900 store 5 \n2500 line g @{\"v\":1,\"ev\":\"churn\",\"t\":5,\"cpu\":0}\n\
        3000 state 5 shutdown\n9000 state 6 running\n9100 state 5 gone\n\
        9500 line g--incoming user-work resumed gap 5 away 9\n9600 line g hello\n";

    #[test]
    fn a_migration_s_times_are_found() {
        assert_eq!(
            times(&read(MIGRATE)).unwrap(),
            Times {
                acknowledge: 900,
                suspend: Some(1100),
                work: 500,
                gap: 7600
            }
        );
        // xenstored's word came late.
        let late = MIGRATE.replace("1900 store 5", "3050 store 5");
        let mut sorted: Vec<&str> = late.lines().collect();
        sorted.sort_by_key(|line| line.split(' ').next().and_then(|at| at.parse::<u64>().ok()));
        let late = times(&read(&sorted.join("\n"))).unwrap();
        assert_eq!((late.suspend, late.work), (None, 500));
    }

    #[test]
    fn what_did_not_happen_is_named() {
        let error = times(&read("1 store 5 suspend\n2 line g user-work tick 1\n")).unwrap_err();
        assert!(error.to_string().contains("not acknowledged"));
        let error = entry_to_work(&read("1 state 5 paused\n")).unwrap_err();
        assert!(error.to_string().contains("no domain ran"));
        assert_eq!(
            entry_to_work(&read(
                "1 state 5 paused\n4 state 5 running\n9 line g user-work ready\n"
            ))
            .unwrap(),
            5
        );
    }

    #[test]
    fn nonsense_is_no_entry() {
        for line in [
            "",
            "x",
            "1",
            "1 store",
            "1 store x y",
            "1 state 5 odd",
            "1 line g @{}",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}

//! A guest's console, followed live.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use crate::base::child::Guarded;
use crate::base::clock::unix;
use crate::guest::event::{parse, Event, Line, Lines};
use crate::host::channel::{quoted, Channel};
use crate::host::labprobe::{self, PLACE};

/// Everything a guest has said so far.
#[derive(Debug, Default)]
pub struct Said {
    /// Its events, as they came.
    pub events: Vec<Event>,
    /// Host time of each.
    pub at: Vec<Instant>,
    /// Lines that began like an event and were none.
    pub broken: Vec<String>,
    /// The last line for people.
    pub last_text: String,
}

/// Follows the log files that xenconsoled writes for one guest name.
pub struct Console {
    said: Arc<Mutex<Said>>,
    copy: Arc<Mutex<File>>,
    /// The events with the host's time at which each came.
    timed: Arc<Mutex<File>>,
    followers: Vec<Guarded>,
}

/// The log files of a guest: the second one is that of a domain that came by migration, which
/// carries that name while it arrives.
pub fn logs(name: &str) -> [String; 2] {
    ["", "--incoming"].map(|end| format!("/var/log/xen/console/guest-{name}{end}.log"))
}

/// What dom0 runs to type a line on the console of this domain.
pub fn type_line(domid: impl Display, line: &str) -> String {
    format!(
        "printf '%s\\n' {} > \"$(xenstore-read /local/domain/{domid}/console/tty)\"",
        quoted(line)
    )
}

impl Console {
    /// Begins to follow; what an earlier guest of this name said is thrown away. `run` gets a copy
    /// of the lines, and of the events with the host's time at which each came.
    ///
    /// # Errors
    /// If the channel to dom0 fails.
    pub fn follow(dom0: &Channel, name: &str, run: &Path) -> Result<Self> {
        let said = Arc::new(Mutex::new(Said::default()));
        let copy = File::create(run.join(format!("console-{name}.log")))
            .context("cannot write the console's copy")?;
        let timed = File::create(run.join(format!("events-{name}.jsonl")))
            .context("cannot write the events' copy")?;
        let mut console = Self {
            said,
            copy: Arc::new(Mutex::new(copy)),
            timed: Arc::new(Mutex::new(timed)),
            followers: Vec::new(),
        };
        console.also(dom0, name)?;
        Ok(console)
    }

    /// Follows the guest of this name on one more host. Lines of one file keep their order; between
    /// files there is none.
    ///
    /// # Errors
    /// If the channel to that dom0 fails.
    pub fn also(&mut self, dom0: &Channel, name: &str) -> Result<()> {
        labprobe::put(dom0)?;
        for (which, log) in logs(name).into_iter().enumerate() {
            // A file of that name may be open in xenconsoled only if the domain lives; it does not.
            let script = format!("rm -f {log}; : > {log}; exec {PLACE} follow {log}");
            let mut follower = dom0.stream(&script)?;
            let mut out = follower
                .child()
                .stdout
                .take()
                .context("the follower has no output")?;
            self.followers.push(follower);
            let (said, copy, timed) = (self.said.clone(), self.copy.clone(), self.timed.clone());
            std::thread::spawn(move || {
                let mut lines = Lines::default();
                let mut buffer = [0; 8192];
                while let Ok(n @ 1..) = out.read(&mut buffer) {
                    for line in lines.push(&buffer[..n]) {
                        if let Ok(mut copy) = copy.lock() {
                            // A full disk shows elsewhere; the events still count.
                            let _ = copy.write_all(&line).and_then(|()| copy.write_all(b"\n"));
                        }
                        let mut said = lock(&said);
                        match parse(&line) {
                            Line::Event(event) => {
                                let entry = json!({
                                    "unix": unix(), "incoming": which == 1, "event": event.body,
                                });
                                if let Ok(mut timed) = timed.lock() {
                                    let _ = writeln!(timed, "{entry}");
                                }
                                said.events.push(event);
                                said.at.push(Instant::now());
                            }
                            Line::Text(text) if text.is_empty() => {}
                            Line::Text(text) => said.last_text = text,
                            Line::Broken(why) => said.broken.push(why),
                        }
                    }
                }
            });
        }
        // The logs must be empty and followed before the domain exists.
        let [first, second] = logs(name);
        let ready = format!("until [ -e {first} ] && [ -e {second} ]; do usleep 20000; done");
        dom0.must(&ready, std::time::Duration::from_secs(30))?;
        Ok(())
    }

    /// What was said so far.
    pub fn said(&self) -> MutexGuard<'_, Said> {
        lock(&self.said)
    }
}

fn lock(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    // Said is whole between any two statements of the follower; a panic there leaves it usable.
    said.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

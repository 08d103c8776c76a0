//! What was done and what came of it: one step, and the run's `timeline.jsonl`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use crate::base::clock::unix;
use crate::life::check::Findings;

/// What an action led to.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Step {
    /// The action.
    pub step: String,
    /// What is wrong; empty if nothing.
    pub findings: Findings,
    /// Seconds.
    pub secs: f64,
    /// Sets drained from each vCPU's cache, where a drain belongs to the action.
    pub drained: String,
    /// What was checked, in words.
    pub checked: String,
    /// What the hypervisor said meanwhile, if it was asked to refuse something or something was
    /// found.
    pub xen: Vec<String>,
}

impl Step {
    /// Whether nothing was found.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }
}

/// The run's `timeline.jsonl`.
pub struct Timeline {
    pub(super) dir: PathBuf,
    file: Mutex<File>,
    start: Instant,
}

impl Timeline {
    /// Opens the one in this folder (it may hold earlier entries).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(run: &std::path::Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(run.join("timeline.jsonl"))
            .context("cannot write timeline.jsonl")?;
        Ok(Self {
            dir: run.to_path_buf(),
            file: Mutex::new(file),
            start: Instant::now(),
        })
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If the disk is full, for one.
    pub fn add(&self, guest: &str, what: &str, result: &str) -> Result<()> {
        let entry = json!({
            "unix": unix(), "secs": self.start.elapsed().as_secs_f64(),
            "guest": guest, "what": what, "result": result,
        });
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        writeln!(file, "{entry}").context("cannot write timeline.jsonl")
    }
}

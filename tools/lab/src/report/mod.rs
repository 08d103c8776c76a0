//! `cargo lab report`: what the last runs left, as one page; and the tables for a terminal.
//!
//! [`runs`] reads the runs' folders, [`page`] puts the page together; each figure has a file of its own. Markup goes
//! through `maud`, which escapes every text: guests and Xen's tools say what they like.

mod action_chart;
mod bench_tables;
mod browser;
mod cache_chart;
mod found;
mod life_parts;
mod line_chart;
mod lives;
mod logs;
mod page;
mod pass_chart;
mod passes;
mod runs;
mod sample;
mod scale;
mod steps;
mod suspend_chart;
mod suspends;
mod test_table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

pub use browser::check as browser_check;
pub use steps::{steps, table};

use crate::base::repo;

/// Options of `cargo lab report`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Write the page and do not open it, even where there is a desktop
    #[arg(long)]
    open_less: bool,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The page's usual place.
fn usual_place() -> PathBuf {
    repo::lab().join("report.html")
}

/// Writes the page from the newest runs.
///
/// # Errors
/// If the runs cannot be read or the page not be written.
pub fn write(out: Option<&Path>) -> Result<PathBuf> {
    let found = runs::collect(&repo::lab().join("runs"))?;
    let place = out.map_or_else(usual_place, Path::to_path_buf);
    repo::write(&place, page::render(&found).into_string().as_bytes())?;
    Ok(place)
}

/// Writes it after a run and names it. The run is what counts: its page can be made again.
pub fn after_a_run() {
    match write(None) {
        Ok(place) => println!("As one page, with pictures: {}", repo::shown(&place)),
        Err(why) => eprintln!("the report could not be written: {why:#}"),
    }
}

/// Runs the command.
///
/// # Errors
/// As [`write()`].
pub fn run(args: &Args) -> Result<()> {
    let place = write(args.out.as_deref())?;
    println!("{}", repo::shown(&place));
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|key| std::env::var_os(key).is_some());
    if desktop && !args.open_less {
        Command::new("xdg-open")
            .arg(&place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot open the page (--open-less leaves it at writing it)")?;
    }
    Ok(())
}

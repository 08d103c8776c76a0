//! `labprobe follow FILE`: what is written to a file, as it is written, until standard input ends.
//!
//! BusyBox's `tail -f` looks once a second, and whoever waits for a guest's word would wait for it.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_millis(50);

pub fn run(path: &str) -> Result<(), String> {
    let mut file = File::open(path).map_err(|e| format!("{path}: {e}"))?;
    std::thread::spawn(|| {
        // Whoever started it is gone.
        while matches!(io::stdin().read(&mut [0; 64]), Ok(1..)) {}
        std::process::exit(0);
    });
    let mut out = io::stdout();
    loop {
        let copied =
            io::copy(&mut file, &mut out).and_then(|n| io::Write::flush(&mut out).map(|()| n));
        if copied.map_err(|e| format!("{path}: {e}"))? == 0 {
            std::thread::sleep(PAUSE);
        }
    }
}

//! One TCP connection that is meant to outlive what happens to its peer: a numbered line each tenth
//! of a second, which has to come back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Between two lines.
const PAUSE: Duration = Duration::from_millis(100);

/// Speaks with `address` until the connection breaks. After each line that came back the file says
/// how many did, and the longest time that one took, in milliseconds.
///
/// # Errors
/// How the connection broke, or what came back in a line's place.
pub fn run(address: &str, file: &str) -> Result<(), String> {
    let words = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut stream = TcpStream::connect(address).map_err(|e| words("connect", e))?;
    stream.set_nodelay(true).map_err(|e| words("nodelay", e))?;
    let mut longest = Duration::ZERO;
    for count in 1u64.. {
        let line = format!("{count}\n");
        let began = Instant::now();
        stream
            .write_all(line.as_bytes())
            .map_err(|e| words("write", e))?;
        let mut back = vec![0; line.len()];
        stream.read_exact(&mut back).map_err(|e| words("read", e))?;
        if back != line.as_bytes() {
            let back = String::from_utf8_lossy(&back).into_owned();
            return Err(format!("{line:?} came back as {back:?}"));
        }
        longest = longest.max(began.elapsed());
        let said = format!("{count} {}\n", longest.as_millis());
        // Read by others at any time: there is never half of it.
        let new = format!("{file}.new");
        std::fs::write(&new, said).map_err(|e| words(&new, e))?;
        std::fs::rename(&new, file).map_err(|e| words(file, e))?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

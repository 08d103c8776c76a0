//! Cuts the stream of `xl remus` in the middle of a checkpoint.
//!
//! Put between `xl remus` and `xl migrate-receive -r`, it hands every byte on and reads along. A
//! checkpoint is a `CHECKPOINT` record of libxc's (Xen's docs/specs/libxc-migration-stream.pandoc)
//! and what libxl adds up to a `CHECKPOINT_END` record of its own (libxl-migration-stream.pandoc).
//! After so many of them the stream stops halfway through the next pages, for a primary that dies
//! there. It must not stop between the two records: libxl of Xen 4.17 takes the end of the stream
//! for an empty record then and asks for the next one for ever.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use crate::stream::{LONGEST, MARKER, PAGE_DATA};

/// libxc's record types.
const END: u32 = 0;
const CHECKPOINT: u32 = 0xe;
/// libxl's.
const CHECKPOINT_END: u32 = 4;
/// What of libxc's headers follows its marker: the rest of the image header, and the domain header.
const HEADERS: usize = 24 + 16 - MARKER.len();

/// Copies up to that place; `stopped` is called there. Whether it came to it.
fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    checkpoints: u64,
    stopped: impl FnOnce() -> Result<(), String>,
) -> Result<bool, String> {
    let reading = |error| format!("reading: {error}");
    let writing = |error| format!("handing on: {error}");
    let mut seen = [0; MARKER.len()];
    while seen != MARKER {
        let mut byte = [0];
        from.read_exact(&mut byte).map_err(reading)?;
        to.write_all(&byte).map_err(writing)?;
        seen.rotate_left(1);
        seen[MARKER.len() - 1] = byte[0];
    }
    let mut headers = [0; HEADERS];
    from.read_exact(&mut headers).map_err(reading)?;
    to.write_all(&headers).map_err(writing)?;
    let (mut whole, mut of_libxl) = (0, false);
    loop {
        let mut record = vec![0; 8];
        from.read_exact(&mut record).map_err(reading)?;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| record[at + n]));
        let (kind, len) = (word(0), word(4) as usize);
        if len > LONGEST {
            return Err(format!("a record of {len} bytes"));
        }
        record.resize(8 + len.next_multiple_of(8), 0);
        from.read_exact(&mut record[8..]).map_err(reading)?;
        if whole == checkpoints && !of_libxl && kind == PAGE_DATA {
            to.write_all(&record[..record.len() / 2])
                .and_then(|()| to.flush())
                .map_err(writing)?;
            stopped()?;
            return Ok(true);
        }
        to.write_all(&record).map_err(writing)?;
        match (of_libxl, kind) {
            (false, CHECKPOINT) => of_libxl = true,
            (true, CHECKPOINT_END) => {
                of_libxl = false;
                whole += 1;
            }
            (false, END) => return Ok(false),
            _ => {}
        }
    }
}

/// Copies standard input to standard output up to that place, then makes `file`, and ends when it
/// is gone.
///
/// # Errors
/// If a side breaks off or the stream is none of Remus'.
pub fn run(checkpoints: u64, file: &str) -> Result<(), String> {
    let both = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|from| Ok((from, std::io::stdout().as_fd().try_clone_to_owned()?)));
    let (from, to) = both.map_err(|error| format!("standard input and output: {error}"))?;
    let mut from = BufReader::with_capacity(1 << 16, File::from(from));
    let stopped = || {
        File::create(file).map_err(|error| format!("{file}: {error}"))?;
        while Path::new(file).exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    };
    if copy(&mut from, &mut File::from(to), checkpoints, stopped)? {
        Ok(())
    } else {
        Err(format!("it ended before {checkpoints} checkpoints"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::record;

    #[test]
    fn the_stream_stops_in_the_pages_after_the_last_checkpoint() {
        let mut stream = b"xl's own header".to_vec();
        stream.extend(MARKER);
        stream.extend([0; HEADERS]);
        for _ in 0..2 {
            stream.extend(record(PAGE_DATA, &[1; 64]));
            stream.extend(record(CHECKPOINT, b""));
            // Of libxl's the numbers mean something else.
            stream.extend(record(PAGE_DATA, b"x"));
            stream.extend(record(CHECKPOINT_END, b""));
        }
        let whole = stream.len();
        stream.extend(record(7, b"other"));
        let other = stream.len();
        stream.extend(record(PAGE_DATA, &[2; 64]));
        let run = |checkpoints| {
            let (mut out, mut stopped) = (Vec::new(), false);
            let result = copy(&mut &stream[..], &mut out, checkpoints, || {
                stopped = true;
                Ok(())
            });
            (result, stopped, out)
        };
        let (result, stopped, out) = run(2);
        assert!(result.unwrap() && stopped);
        assert_eq!(out.len(), other + 36);
        assert_eq!(out, stream[..out.len()]);
        assert!(other > whole);
        // A stream that breaks off sooner is an error.
        let (result, stopped, _) = run(3);
        assert!(result.unwrap_err().starts_with("reading") && !stopped);
    }
}

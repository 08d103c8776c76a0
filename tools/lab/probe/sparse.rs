//! Writes what it reads to a file, and leaves out the zeros: a hole of the file takes no memory of
//! dom0's, whose disk is its memory. Most of a large guest's image is pages that nobody touched.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use crate::sys::widen_pipe;

/// What is left out as a whole: a page of the file.
const BLOCK: usize = 4096;
/// Read at once.
const ROOM: usize = 64 * BLOCK;

/// `labprobe sparse FILE`: standard input, to its end.
pub fn run(file: &str) -> Result<(), String> {
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let input = File::from(input.map_err(|e| e.to_string())?);
    widen_pipe(&input);
    let output = File::create(file).map_err(|e| format!("{file}: {e}"))?;
    copy(input, output).map_err(|e| format!("{file}: {e}"))
}

fn copy(mut input: File, mut output: File) -> std::io::Result<()> {
    let mut room = vec![0; ROOM];
    let mut total = 0u64;
    loop {
        let mut filled = 0;
        while filled < ROOM {
            match input.read(&mut room[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        for block in room[..filled].chunks(BLOCK) {
            if block.iter().all(|&byte| byte == 0) {
                output.seek(SeekFrom::Current(block.len() as i64))?;
            } else {
                output.write_all(block)?;
            }
        }
        total += filled as u64;
        if filled < ROOM {
            // A hole at the end is part of the file as well.
            return output.set_len(total);
        }
    }
}

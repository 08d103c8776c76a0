//! What the hypervisor says, read from the machine's serial line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The most lines that are kept of one action.
const MOST: usize = 12;

/// How long `xen.log` is by now; for [`said_since`].
pub fn length(run: &Path) -> u64 {
    std::fs::metadata(run.join("xen.log")).map_or(0, |data| data.len())
}

/// Xen's lines since the log had that length, without those that every save of a PVH guest brings. The last ones, if
/// there are many.
pub fn said_since(run: &Path, from: u64) -> Vec<String> {
    let mut bytes = Vec::new();
    // Evidence for a person; a log that cannot be read is missing there and changes no verdict.
    let _ = File::open(run.join("xen.log"))
        .and_then(|mut log| log.seek(SeekFrom::Start(from)).map(|_| log))
        .and_then(|mut log| log.read_to_end(&mut bytes));
    words(&String::from_utf8_lossy(&bytes))
}

fn words(text: &str) -> Vec<String> {
    let lines: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("(XEN)")?.trim().to_owned()))
        .filter(|line| !is_noise(line))
        .collect();
    lines[lines.len().saturating_sub(MOST)..].to_vec()
}

/// `HVM4 save: CPU`, `HVM5.1 restore: LAPIC`.
fn is_noise(line: &str) -> bool {
    line.strip_prefix("HVM")
        .is_some_and(|rest| rest.contains(" save: ") || rest.contains(" restore: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_xen_says_about_it_is_kept() {
        let text = "(XEN) HVM3 save: CPU\r\nlab: dom0\r\n(XEN) arch/x86/mm.c:3576:d0v0 Error -22 while pinning mfn 79193\r\n\
                    (XEN) HVM4.1 restore: LAPIC\n";
        assert_eq!(
            words(text),
            ["arch/x86/mm.c:3576:d0v0 Error -22 while pinning mfn 79193"]
        );
        let many = "(XEN) x\n".repeat(100);
        assert_eq!(words(&many).len(), MOST);
    }
}

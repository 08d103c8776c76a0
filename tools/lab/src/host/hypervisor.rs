//! What the hypervisor says, read from the machine's serial line.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::host::qemu::{self, Accel};

/// The most lines that are kept of one action.
const MOST: usize = 12;

/// How long `xen.log` is by now; for [`said_since`].
pub fn length(run: &Path) -> u64 {
    std::fs::metadata(run.join("xen.log")).map_or(0, |data| data.len())
}

/// Xen's lines since the log had that length, without those that every save of a PVH guest brings.
/// The last ones, if there are many.
pub fn said_since(run: &Path, from: u64) -> Vec<String> {
    words(&text_since(run, from))
}

fn text_since(run: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    // Evidence for a person; a log that cannot be read is missing there and changes no verdict.
    let _ = File::open(run.join("xen.log"))
        .and_then(|mut log| log.seek(SeekFrom::Start(from)).map(|_| log))
        .and_then(|mut log| log.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A vCPU of a guest that was run with the hypervisor's own registers.
///
/// Seen now and then (decision 0012 has the figures) with QEMU 7.2 emulating SVM: Xen finds the
/// state that it had itself at `VMRUN` where the guest's should be, and the guest dies of a triple
/// fault. No guest can come to that state: `e008` is Xen's code selector (`__HYPERVISOR_CS`), far
/// behind the end of any descriptor table of ours, and the address is in Xen's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorFault {
    /// As Xen writes it: `d36v1`.
    pub vcpu: String,
    /// The instruction pointer, in Xen's text.
    pub rip: u64,
}

impl fmt::Display for EmulatorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the emulator broke this guest: QEMU ran {} with the hypervisor's own registers (RIP {:04x}:{:016x} in \
             xen.log, see docs/decisions/0012)",
            self.vcpu, XEN_CS, self.rip
        )
    }
}

/// `__HYPERVISOR_CS`, in `xen/arch/x86/include/asm/config.h`.
const XEN_CS: u16 = 0xe008;
/// Where Xen 4.17 and 4.20 are linked, 1 GiB (`XEN_VIRT_START`, in the same file).
const XEN_TEXT: Range<u64> = 0xffff_82d0_4000_0000..0xffff_82d0_8000_0000;

/// Did the emulator break a guest since the log had that length? With KVM there is no emulator to
/// blame.
pub fn emulator_fault_since(run: &Path, from: u64) -> Option<EmulatorFault> {
    (qemu::accel().0 == Accel::Tcg)
        .then(|| text_since(run, from))
        .and_then(|text| emulator_fault(&text))
}

/// Looks for a guest's registers as `show_execution_state` writes them
/// (`xen/arch/x86/x86_64/traps.c`), two lines.
fn emulator_fault(text: &str) -> Option<EmulatorFault> {
    let mut lines = text.lines().map(|line| line.trim_end());
    while let Some(line) = lines.next() {
        let Some((cs, rip)) = instruction(line).and_then(|at| at.split_once(":[<")) else {
            continue;
        };
        let rip = rip.split('>').next().unwrap_or_default();
        let (Ok(cs), Ok(rip)) = (u16::from_str_radix(cs, 16), u64::from_str_radix(rip, 16)) else {
            continue;
        };
        let whose = lines
            .next()
            .and_then(|line| line.split_once("CONTEXT: hvm guest ("));
        if let Some((_, vcpu)) = whose {
            if cs == XEN_CS && XEN_TEXT.contains(&rip) {
                let vcpu = vcpu.trim_end_matches(')').to_owned();
                return Some(EmulatorFault { vcpu, rip });
            }
        }
    }
    None
}

/// A domain that Xen ended because of what one of its vCPUs did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// As Xen names it: `Domain 10 (vcpu#2)`.
    pub who: String,
    /// Where that vCPU was: `e033:[<ffffffff8012a6f2>]`.
    pub rip: String,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, rip } = self;
        write!(
            f,
            "Xen crashed {who} at {rip} (its registers are in xen.log)"
        )
    }
}

/// Did Xen crash a guest since the log had that length?
pub fn crash_since(run: &Path, from: u64) -> Option<Crash> {
    // Asked while we wait: no log is read in which nothing happens.
    (length(run) > from)
        .then(|| text_since(run, from))
        .and_then(|text| crash(&text))
}

/// Looks for what `__domain_crash` writes (`xen/common/domain.c`), and the registers behind it.
fn crash(text: &str) -> Option<Crash> {
    let mut lines = text.lines().map(|line| line.trim_end());
    let who = lines.find_map(|line| {
        let (who, cpu) = line
            .strip_prefix("(XEN) ")?
            .split_once(" crashed on cpu#")?;
        (who.starts_with("Domain ") && cpu.ends_with(':')).then(|| who.to_owned())
    })?;
    let rip = lines.find_map(instruction)?.to_owned();
    Some(Crash { who, rip })
}

/// The instruction pointer in a line of a register dump, as Xen writes it:
/// `e033:[<ffffffff8012a6f2>]`.
fn instruction(line: &str) -> Option<&str> {
    Some(line.strip_prefix("(XEN) RIP:")?.trim())
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
    fn a_crash_is_seen_as_soon_as_its_registers_are_there() {
        let head = "(XEN)  L1[0x0f8] = 0000000000000000 ffffffffffffffff\r\n(XEN) Domain 10 (vcpu#2) crashed on cpu#1:\r\n";
        let rest =
            "(XEN) ----[ Xen-4.17.7  x86_64  debug=n  Not tainted ]----\r\n(XEN) CPU:    1\r\n\
                    (XEN) RIP:    e033:[<ffffffff8012a6f2>]\r\n";
        let said = crash(&format!("{head}{rest}")).map(|crash| crash.to_string());
        let said = said.unwrap_or_default();
        assert!(
            said.contains("crashed Domain 10 (vcpu#2) at e033:[<ffffffff8012a6f2>]"),
            "{said}"
        );
        assert_eq!(crash(head), None);
        assert_eq!(crash(rest), None);
        assert_eq!(
            crash("(XEN) Domain 3 reported crashed by domain 0 on cpu#1:\n"),
            None
        );
    }

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

    #[test]
    fn a_guest_with_the_hypervisor_s_registers_is_the_emulator_s_fault() {
        let dump = |cs: &str, rip: &str, whose: &str| {
            format!(
                "(XEN) d36v1 Triple fault - invoking HVM shutdown action 1\r\n\
                 (XEN) *** Dumping Dom36 vcpu#1 state: ***\r\n\
                 (XEN) ----[ Xen-4.17.7  x86_64  debug=n  Not tainted ]----\r\n\
                 (XEN) CPU:    1\r\n\
                 (XEN) RIP:    {cs}:[<{rip}>]\r\n\
                 (XEN) RFLAGS: 0000000000000246   CONTEXT: {whose}\r\n"
            )
        };
        let theirs = "hvm guest (d36v1)";
        let found = emulator_fault(&dump("e008", "ffff82d0402044a5", theirs));
        assert_eq!(
            found,
            Some(EmulatorFault {
                vcpu: "d36v1".into(),
                rip: 0xffff_82d0_4020_44a5
            })
        );
        // A guest that lost its way by itself, and Xen itself in trouble.
        for other in [
            dump("0018", "ffffffff80104321", theirs),
            dump("0018", "ffff82d0402044a5", theirs),
            dump("e008", "ffffffff80104321", theirs),
            dump("e008", "ffff82d0402044a5", "hypervisor (d36v1)"),
        ] {
            assert_eq!(emulator_fault(&other), None, "{other}");
        }
    }
}

//! HVM_PARAMS: what `hvm_set_param` takes. Numbers from `xen/include/public/hvm/params.h`.

use crate::config::Config;
use crate::finding::Code;
use crate::format::u64_at;
use crate::guest::Guest;
use crate::input::{Input, Record};
use crate::refusal::{Errno, Refusal};
use crate::source::Stop;
use crate::target::Xen;

const PAE_ENABLED: u32 = 4;
const IOREQ_PFN: u32 = 5;
const BUFIOREQ_PFN: u32 = 6;
const VIRIDIAN: u32 = 9;
const TIMER_MODE: u32 = 10;
const ACPI_S_STATE: u32 = 14;
const VM86_TSS: u32 = 15;
const ACPI_IOPORTS_LOCATION: u32 = 19;
const NESTEDHVM: u32 = 24;
const TRIPLE_FAULT_REASON: u32 = 31;
const IOREQ_SERVER_PFN: u32 = 32;
const NR_IOREQ_SERVER_PAGES: u32 = 33;
const ALTP2M: u32 = 35;
const X87_FIP_WIDTH: u32 = 36;
const VM86_TSS_SIZED: u32 = 37;
const MCA_CAP: u32 = 38;
/// `HVM_NR_PARAMS`, from 4.14 to 4.20.
const PARAMS: u32 = 39;
/// A 32-bit task-state segment, the least that VM86_TSS_SIZED may say.
const TSS32: u64 = 104;

/// The record.
pub fn read(
    input: &mut Input<'_>,
    config: &Config,
    guest: &mut Guest,
    record: &Record,
) -> Result<(), Stop> {
    let Some(count) = input.body_header(record)?.map(u64::from) else {
        return Ok(());
    };
    let length = u64::from(record.length);
    if length != 8 + 16 * count {
        input.bad(Code::RecordMalformed, record, || {
            format!("{length} bytes for {count} parameters")
        });
        return Ok(());
    }
    let is_pvh = config.kind.as_deref() == Some("pvh");
    for _ in 0..count {
        let param = input.source.take(16)?;
        let (index, value) = (u64_at(param, 0), u64_at(param, 8));
        if index == u64::from(PAE_ENABLED) {
            // Of old streams; libxc throws it away.
            continue;
        }
        // libxc hands on 32 bits.
        let number = index as u32;
        if u64::from(number) != index {
            input.bad(Code::RecordOdd, record, || {
                format!("parameter {index:#x}, which libxc takes for {number}")
            });
        }
        let earlier = guest.hvm.params.get(&number).copied().unwrap_or(0);
        match check(number, value, earlier, is_pvh, guest.target) {
            Ok(()) => {
                guest.hvm.params.insert(number, value);
            }
            Err(Refusal { errno, why }) => {
                let says = format!("set HVM param {number} = {value:#018x}");
                input.findings.refuse(Code::HvmParam, says, errno, || {
                    format!("{record}: parameter {number} is {value:#x}: {why}")
                });
            }
        }
    }
    Ok(())
}

/// `hvm_allow_set_param`, then `hvm_set_param`.
fn check(index: u32, value: u64, earlier: u64, is_pvh: bool, xen: Xen) -> Result<(), Refusal> {
    let must = |good: bool, why: &str| match good {
        true => Ok(()),
        false => Refusal::err(Errno::Einval, why),
    };
    if index >= PARAMS {
        return Refusal::err(Errno::Einval, format!("Xen has {PARAMS}"));
    }
    match index {
        13 | 20..=23 | 25 | 26 | 30 => must(false, "it may not be set any more")?,
        NESTEDHVM if xen >= Xen::V4_17 => must(false, "it may not be set any more")?,
        NESTEDHVM => must(value <= 1, "1 at most")?,
        ALTP2M if xen >= Xen::V4_20 => {
            let why = "it is read-only from Xen 4.20 on";
            return Refusal::err(Errno::Eexist, why);
        }
        VIRIDIAN
        | IOREQ_PFN
        | BUFIOREQ_PFN
        | IOREQ_SERVER_PFN
        | NR_IOREQ_SERVER_PAGES
        | ALTP2M
        | MCA_CAP
            if earlier != 0 && earlier != value =>
        {
            let why = format!("it was {earlier:#x} before, and may be set once");
            return Refusal::err(Errno::Eexist, why);
        }
        _ => {}
    }
    match index {
        VIRIDIAN => {
            let known = if xen >= Xen::V4_17 { 0x1fff } else { 0x3ff };
            must(value & !known == 0, "features that it does not know")?;
            must(value & 1 != 0, "without the base features (bit 0)")
        }
        TIMER_MODE => must(value <= 3, "3 at most"),
        ACPI_S_STATE => must(matches!(value, 0 | 3), "0 or 3"),
        VM86_TSS => must(value <= u32::MAX.into(), "an address of 32 bits at most"),
        VM86_TSS_SIZED => must(value >> 32 >= TSS32, "a segment of 104 bytes at least"),
        ACPI_IOPORTS_LOCATION if is_pvh => {
            Refusal::err(Errno::Enodev, "a PVH domain has no ACPI timer")
        }
        ACPI_IOPORTS_LOCATION => {
            let good = value == earlier || value ^ earlier == 1;
            must(good, "it changes between 0 and 1 only")
        }
        TRIPLE_FAULT_REASON => must(value <= 5, "5 at most"),
        NR_IOREQ_SERVER_PAGES => must((1..=64).contains(&value), "1 to 64"),
        ALTP2M => must(value <= 3, "3 at most"),
        X87_FIP_WIDTH => must(matches!(value, 0 | 4 | 8), "0, 4 or 8"),
        MCA_CAP => must(value <= 1, "capabilities that it does not know"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_set() {
        let good = |index, value, xen| check(index, value, 0, false, xen).is_ok();
        let all = |index, value| Xen::ALL.map(|xen| good(index, value, xen));
        // Set by every save that has them.
        for (index, value) in [
            (1, 0xfeffc),
            (17, 0xfeffb),
            (5, 4),
            (12, 0xfee00),
            (15, 0),
            (16, 1),
        ] {
            assert_eq!(all(index, value), [true; 3], "{index}");
        }
        for (index, value) in [
            (39, 0),
            (63, 1),
            (13, 0),
            (20, 0),
            (26, 1),
            (30, 0),
            (10, 9),
            (14, 1),
            (9, 2),
            (9, 0x2001),
            (15, 1 << 32),
            (31, 6),
            (33, 0),
            (33, 65),
            (36, 5),
            (37, 103 << 32),
            (38, 2),
            (19, 2),
        ] {
            assert_eq!(all(index, value), [false; 3], "{index} = {value:#x}");
        }
        assert_eq!(all(24, 1), [true, false, false]);
        assert_eq!(all(35, 1), [true, true, false]);
        assert_eq!(all(9, 0x1401), [false, true, true]);
        assert_eq!(all(37, 104 << 32), [true; 3]);
        let pvh = |index, value| check(index, value, 0, true, Xen::V4_17);
        assert_eq!(pvh(19, 1).unwrap_err().errno, Errno::Enodev);
        let again = check(5, 7, 6, false, Xen::V4_17);
        assert_eq!(again.unwrap_err().errno, Errno::Eexist);
        assert!(check(5, 6, 6, false, Xen::V4_17).is_ok());
    }
}

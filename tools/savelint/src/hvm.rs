//! The records that only an HVM or PVH domain has.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::finding::Code;
use crate::format::*;
use crate::source::Stop;
use crate::stream::{Guest, Input, Record};

/// Entries of the HVM context (`DECLARE_HVM_SAVE_TYPE` and `CPU_*_CODE`, `xen/include/public/arch-x86/hvm/save.h`).
const END: u16 = 0;
const HEADER: u16 = 1;
const CPU: u16 = 2;
const LAST_KNOWN: u16 = 20;
/// The header's length, magic and version (`struct hvm_save_header`).
const HEADER_LENGTH: u32 = 24;
const MAGIC: u32 = 0x5438_1286;
const VERSION: u32 = 1;

/// `HVM_PARAM_*` that say where the rings are, and whether there was a device model.
pub const STORE_PFN: u64 = 1;
/// See [`STORE_PFN`].
pub const CONSOLE_PFN: u64 = 17;
/// How many parameters Xen has, generously; others are refused by it.
const PARAMS: u64 = 64;

/// What an HVM stream says beside its memory.
#[derive(Debug, Default)]
pub struct Hvm {
    /// HVM_PARAMS by index.
    pub params: BTreeMap<u64, u64>,
    /// The vCPUs whose state is in the last HVM_CONTEXT; those that were offline are not.
    pub vcpus: BTreeSet<u16>,
    /// HVM_CONTEXT came.
    pub context: bool,
}

/// HVM_CONTEXT, walked as `hvm_load` does; nothing of it is kept.
pub fn context(
    input: &mut Input<'_>,
    config: &Config,
    guest: &mut Guest,
    record: &Record,
) -> Result<(), Stop> {
    guest.hvm.context = true;
    guest.hvm.vcpus.clear();
    let mut left = u64::from(record.length);
    let mut first = true;
    loop {
        if left < 8 {
            input.bad(Code::HvmContext, record, || "it has no end entry".into());
            return Ok(());
        }
        let entry = input.source.take(8)?;
        let (kind, instance, length) = (u16_at(entry, 0), u16_at(entry, 2), u32_at(entry, 4));
        left -= 8;
        if kind == END && !first {
            return Ok(());
        }
        if first && (kind != HEADER || length != HEADER_LENGTH || left < length.into()) {
            input.bad(Code::HvmContext, record, || {
                "it does not begin with its header".into()
            });
            return Ok(());
        }
        if kind > LAST_KNOWN {
            input.bad(Code::HvmContext, record, || {
                format!("an entry of the unknown type {kind}")
            });
            return Ok(());
        }
        if left < length.into() {
            input.bad(Code::HvmContext, record, || {
                format!("an entry of type {kind} with {length} bytes, of which {left} are there")
            });
            return Ok(());
        }
        let mut unread = u64::from(length);
        if first {
            let header = input.source.take(8)?;
            unread -= 8;
            let (magic, version) = (u32_at(header, 0), u32_at(header, 4));
            if (magic, version) != (MAGIC, VERSION) {
                input.bad(Code::HvmContext, record, || {
                    format!("its header has magic {magic:#x}, version {version}")
                });
            }
        } else if kind == CPU {
            guest.hvm.vcpus.insert(instance);
            if config
                .max_vcpus
                .is_some_and(|max| u32::from(instance) >= max)
            {
                input.bad(Code::HvmContext, record, || {
                    format!("the state of vCPU {instance}, which the domain does not have")
                });
            }
        }
        input.source.skip(unread)?;
        left -= u64::from(length);
        first = false;
    }
}

/// HVM_PARAMS.
pub fn params(input: &mut Input<'_>, guest: &mut Guest, record: &Record) -> Result<(), Stop> {
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
    for _ in 0..count {
        let param = input.source.take(16)?;
        let (index, value) = (u64_at(param, 0), u64_at(param, 8));
        if index < PARAMS {
            guest.hvm.params.insert(index, value);
        } else {
            input.bad(Code::RecordMalformed, record, || {
                format!("parameter {index}, which Xen does not have")
            });
        }
    }
    Ok(())
}

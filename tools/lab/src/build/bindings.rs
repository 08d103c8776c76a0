//! Generates `xen-bindings/src/ffi/{i686,x86_64}.rs` from Xen's public headers.
//!
//! The output is checked in, so that nobody needs libclang or the headers to build a guest. This
//! module makes it again (`check == false`), or says whether what is checked in is still what the
//! headers give (`check == true`).
//!
//! Both word sizes are generated on any x86 host: the headers are parsed for a freestanding target
//! of each size. The C library's headers must stay out of sight (glibc's are not usable for a
//! foreign word size), so `-nostdinc` is given and a few lines of `stdint.h` and `stddef.h` are
//! supplied instead.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian's `libxen-dev` puts the headers; `XEN_HEADERS` names another folder that holds
/// `xen.h`.
const DEFAULT_HEADERS: &str = "/usr/include/xen";

/// The interface version the bindings speak. Xen keeps every published interface version working,
/// and 0x00040e00 is the newest one that the headers of Xen 4.17 know (`xen-compat.h`).
const INTERFACE_VERSION: &str = "0x00040e00";

/// The word sizes: the file's stem (a value of `target_arch`, save that Rust's `x86` is named as
/// its target triple is) and clang's target.
const WORD_SIZES: [(&str, &str); 2] = [
    ("i686", "i686-unknown-none-elf"),
    ("x86_64", "x86_64-unknown-none-elf"),
];

/// Public headers a guest needs. Left out on purpose: `sys/`, `privcmd.h`, `evtchn.h`, `gntdev.h`
/// and `gntalloc.h`, which are interfaces of dom0's operating system and not of Xen.
const HEADERS: &[&str] = &[
    "xen.h",
    "errno.h",
    "features.h",
    "version.h",
    "elfnote.h",
    "sched.h",
    "vcpu.h",
    "event_channel.h",
    "memory.h",
    "grant_table.h",
    "callback.h",
    "nmi.h",
    "physdev.h",
    "hvm/params.h",
    "hvm/hvm_op.h",
    "hvm/hvm_vcpu.h",
    "arch-x86/cpuid.h",
    "arch-x86/hvm/start_info.h",
    "io/xs_wire.h",
    "io/console.h",
];

/// Types the guest uses. Types they refer to follow by themselves.
const TYPES: &[&str] = &[
    // Shared pages and what a domain is started with.
    "shared_info",
    "vcpu_info",
    "vcpu_time_info",
    "arch_shared_info",
    "arch_vcpu_info",
    "start_info",
    "hvm_start_info",
    "hvm_modlist_entry",
    "hvm_memmap_table_entry",
    "xenstore_domain_interface",
    "xencons_interface",
    "xsd_sockmsg",
    "xsd_sockmsg_type",
    // Arguments of hypercalls.
    "domid_t",
    "xen_pfn_t",
    "xen_ulong_t",
    "evtchn_port_t",
    "sched_shutdown",
    "sched_poll",
    "vcpu_runstate_info",
    "vcpu_register_runstate_memory_area",
    "vcpu_register_time_memory_area",
    "vcpu_register_vcpu_info",
    "vcpu_set_periodic_timer",
    "vcpu_set_singleshot_timer",
    "vcpu_hvm_context",
    "vcpu_guest_context",
    "evtchn_alloc_unbound",
    "evtchn_bind_interdomain",
    "evtchn_bind_virq",
    "evtchn_bind_ipi",
    "evtchn_bind_vcpu",
    "evtchn_close",
    "evtchn_send",
    "evtchn_status",
    "evtchn_unmask",
    "evtchn_reset",
    "evtchn_init_control",
    "evtchn_expand_array",
    "evtchn_set_priority",
    "evtchn_fifo_control_block",
    "xen_hvm_param",
    "xen_hvm_evtchn_upcall_vector",
    "xen_memory_reservation",
    "xen_add_to_physmap",
    "xen_remove_from_physmap",
    "xen_memory_map",
    "xen_machphys_mapping",
    "grant_ref_t",
    "grant_handle_t",
    "grant_entry_v1",
    "grant_entry",
    "gnttab_setup_table",
    "gnttab_query_size",
    "gnttab_map_grant_ref",
    "gnttab_unmap_grant_ref",
    "gnttab_set_version",
    "gnttab_get_version",
    "xen_feature_info",
    "xen_extraversion_t",
    "xen_capabilities_info_t",
    "xen_errno",
    // PV only.
    "mmu_update",
    "mmuext_op",
    "multicall_entry",
    "trap_info",
    "xen_callback",
    "xen_callback_t",
    "callback_register",
    "callback_unregister",
    "iret_context",
    "cpu_user_regs",
    "physdev_set_iopl",
    "physdev_eoi",
    "xennmi_callback",
];

/// Macros and enumerators the guest uses.
const VARS: &[&str] = &[
    "__HYPERVISOR_.*",
    "XEN_E[A-Z0-9]+",
    "DOMID_.*",
    "VIRQ_.*",
    "NR_VIRQS",
    "SCHEDOP_.*",
    "SHUTDOWN_.*",
    "VCPUOP_.*",
    "VCPU_HVM_MODE_.*",
    "VCPU_SSHOTTMR_future",
    "RUNSTATE_.*",
    "XEN_RUNSTATE_UPDATE",
    "EVTCHNOP_.*",
    "EVTCHNSTAT_.*",
    "EVTCHN_2L_NR_CHANNELS",
    "EVTCHN_FIFO_.*",
    "HVMOP_(set_param|get_param|set_evtchn_upcall_vector|pagetable_dying)",
    "HVM_PARAM_.*",
    "HVM_NR_PARAMS",
    "XENMEM_(increase_reservation|decrease_reservation|populate_physmap|maximum_ram_page|current_reservation)",
    "XENMEM_(maximum_reservation|maximum_gpfn|machphys_mapping|add_to_physmap|remove_from_physmap|memory_map)",
    "XENMAPSPACE_.*",
    "XENMAPIDX_.*",
    "GNTTAB_.*",
    "GNTTABOP_(map_grant_ref|unmap_grant_ref|setup_table|query_size|set_version|get_version)",
    "GTF_.*",
    "GNTST_.*",
    "GNTMAP_.*",
    "XENVER_.*",
    "XENFEAT_.*",
    "XEN_ELFNOTE_.*",
    "XEN_HVM_START_MAGIC_VALUE",
    "XEN_HVM_MEMMAP_TYPE_.*",
    "XEN_CPUID_.*",
    "XEN_HVM_CPUID_.*",
    "XEN_HVM_DEBUGCONS_IOPORT",
    "XEN_LEGACY_MAX_VCPUS",
    "XEN_PVCLOCK_.*",
    "PVCLOCK_.*",
    "XS_.*",
    "XENSTORE_.*",
    "CONSOLEIO_.*",
    "SIF_.*",
    "MAX_GUEST_CMDLINE",
    "CONSOLE_.*",
    // PV only.
    "MMU_.*",
    "MMUEXT_.*",
    "UVMF_.*",
    "VMASST_.*",
    "VGCF_.*",
    "CALLBACK(TYPE|OP|F)_.*",
    "XENNMI_.*",
    "FLAT_.*",
    "SEGBASE_.*",
    "FIRST_RESERVED_GDT_.*",
    "HYPERVISOR_VIRT_(START|END)",
    "MACH2PHYS_.*",
    "PHYSDEVOP_(eoi|set_iopl)",
];

/// Stands for the C library's `stdint.h` and `stddef.h`.
const SHIM: &str = "\
#ifndef SHIM_H
#define SHIM_H
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef __SIZE_TYPE__ size_t;
typedef __UINTPTR_TYPE__ uintptr_t;
#define NULL ((void *)0)
#endif
";

/// Makes the bindings of both word sizes; with `check`, compares them with the checked-in files and
/// changes nothing.
///
/// # Errors
/// A sentence for a person: the headers or libclang are missing, a header does not parse, a file
/// cannot be written, or (with `check`) a checked-in file differs, with the first line that does.
pub fn run(root: &Path, check: bool) -> Result<(), String> {
    let headers =
        PathBuf::from(std::env::var_os("XEN_HEADERS").unwrap_or_else(|| DEFAULT_HEADERS.into()));
    if !headers.join("xen.h").is_file() {
        return Err(format!(
            "{} has no xen.h: install libxen-dev, or set XEN_HEADERS to a folder with Xen's public headers",
            headers.display()
        ));
    }
    let scratch = Scratch::new()?;
    let out_dir = root.join("xen-bindings/src/ffi");
    for (name, target) in WORD_SIZES {
        let text = generate(&headers, &scratch.0, target)?;
        let shown = format!("xen-bindings/src/ffi/{name}.rs");
        let path = out_dir.join(format!("{name}.rs"));
        if check {
            let old = fs::read_to_string(&path).map_err(|e| format!("cannot read {shown}: {e}"))?;
            compare(&shown, "the headers", &old, &text)?;
            println!("{shown} is what the headers give");
        } else {
            fs::write(&path, text).map_err(|e| format!("cannot write {shown}: {e}"))?;
            println!("wrote {shown}");
        }
    }
    Ok(())
}

/// The bindings for one clang target, as source text.
fn generate(headers: &Path, scratch: &Path, target: &str) -> Result<String, String> {
    let includes: String = HEADERS
        .iter()
        .map(|header| format!("#include \"{header}\"\n"))
        .collect();
    // A real file: the macro fallback below compiles the header again and knows no header held in
    // memory.
    let header = scratch.join("xen-bindings.h");
    fs::write(&header, format!("#include <stdint.h>\n{includes}"))
        .map_err(|e| format!("cannot write {}: {e}", header.display()))?;
    let mut builder = bindgen::Builder::default()
        .header(header.display().to_string())
        .clang_args([
            "-nostdinc",
            "-ffreestanding",
            // Strict: without GNU's extensions the 64-bit registers are plain fields and not unions
            // of names.
            "-std=c11",
            &format!("--target={target}"),
            &format!("-I{}", scratch.display()),
            "-idirafter",
            &headers.display().to_string(),
            &format!("-D__XEN_INTERFACE_VERSION__={INTERFACE_VERSION}"),
        ])
        // Macros that hold casts or sizeof (DOMID_SELF, UVMF_*, MACH2PHYS_VIRT_START, ...) can only
        // be evaluated by compiling them; without this they are left out without a word.
        .clang_macro_fallback()
        .clang_macro_fallback_build_dir(scratch)
        .use_core()
        .layout_tests(true)
        .derive_default(true)
        .derive_debug(true)
        .generate_comments(false)
        .prepend_enum_name(false)
        .rust_target(bindgen::RustTarget::stable(85, 0).map_err(|e| format!("bindgen: {e}"))?)
        .rust_edition(bindgen::RustEdition::Edition2021)
        .formatter(bindgen::Formatter::Prettyplease)
        .disable_header_comment()
        .raw_line("// SPDX-License-Identifier: MIT")
        .raw_line("//")
        .raw_line("// Generated from Xen's public headers, whose licence is MIT too. Do not edit: see README.md.")
        .raw_line(format!("// Interface version {INTERFACE_VERSION}, clang target {target}."))
        .raw_line("");
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in VARS {
        builder = builder.allowlist_var(name);
    }
    let bindings = builder
        .generate()
        .map_err(|e| format!("Xen's headers do not give bindings for {target}: {e}"))?;
    let text = bindings.to_string();
    // An allow-list is a wish: a name that a header no longer has (or that clang cannot evaluate)
    // is left out silently. These stand for the groups that have vanished that way.
    for wanted in [
        "DOMID_SELF",
        "UVMF_INVLPG",
        "EVTCHN_2L_NR_CHANNELS",
        "EVTCHN_FIFO_PENDING",
        "MACH2PHYS_VIRT_START",
        "XEN_EINVAL",
    ] {
        if !text.contains(&format!("pub const {wanted}:")) {
            return Err(format!(
                "the bindings for {target} lack {wanted}: clang did not evaluate it"
            ));
        }
    }
    Ok(text)
}

/// Says where `new` (what `source` gives) first differs from `old` (what is checked in).
pub(crate) fn compare(shown: &str, source: &str, old: &str, new: &str) -> Result<(), String> {
    if old == new {
        return Ok(());
    }
    let (mut olds, mut news) = (old.lines(), new.lines());
    for line in 1usize.. {
        let (was, is) = (olds.next(), news.next());
        if was != is {
            return Err(format!(
                "{shown}:{line} is not what {source} gives\n  checked in: {}\n  now:        {}",
                was.unwrap_or("(end of file)"),
                is.unwrap_or("(end of file)"),
            ));
        }
        if was.is_none() {
            break;
        }
    }
    Err(format!(
        "{shown} differs from what {source} gives in its line ends only"
    ))
}

/// A folder of our own for the shim and clang's intermediate files, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("xen-bindings-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
        let scratch = Self(path);
        for name in ["stdint.h", "stddef.h"] {
            fs::write(scratch.0.join(name), SHIM)
                .map_err(|e| format!("cannot write {name}: {e}"))?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it being gone.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn compare_names_the_first_line_that_differs() {
        assert!(compare("f", "the sources", "a\nb\n", "a\nb\n").is_ok());
        let error = compare("f.rs", "the sources", "a\nb\nc\n", "a\nX\nc\n").unwrap_err();
        assert!(error.starts_with("f.rs:2 "), "{error}");
        let error = compare("f.rs", "the sources", "a\n", "a\nb\n").unwrap_err();
        assert!(error.contains("checked in: (end of file)"), "{error}");
        assert!(compare("f", "the sources", "a\r\n", "a\n").is_err());
    }
}

//! What Xen keeps for each vCPU of a PV guest: descriptors, traps, callbacks, and where it starts.

use core::arch::asm;

use spin::Mutex;
use xen_bindings::pv;
use xen_bindings::{ffi, vcpu, Result};

use super::m2p;
use crate::arch::areas::{self, Part};
use crate::arch::changes::{Changes, TableError};
use crate::arch::page::Page;
use crate::arch::vectors::{self, EXCEPTIONS};
use crate::arch::{direct, tables, traps};

/// Descriptors in it: none, code, data, and the mark.
const GDT_ENTRIES: usize = 4;
/// The descriptor whose limit is the number of its vCPU. Nobody loads it: it tells whose table is
/// in force.
const MARK: usize = 3;

/// The ring that a PV kernel runs in, which is the privilege of its descriptors.
#[cfg(target_arch = "x86_64")]
const RING: u64 = 3;
#[cfg(target_arch = "x86")]
const RING: u64 = 1;

/// vCPU `cpu`'s descriptor table: a page, read-only to the guest while Xen uses it.
fn gdt(cpu: usize) -> &'static Page {
    areas::page(cpu, Part::Descriptors)
}

/// Fills the descriptor table of vCPU `cpu` and takes away the right to write to it.
fn prepare_gdt(cpu: usize) -> core::result::Result<(), TableError> {
    let privilege = RING << 45;
    #[cfg(target_arch = "x86_64")]
    let code = 0x00af_9b00_0000_ffff;
    #[cfg(target_arch = "x86")]
    let code = 0x00cf_9b00_0000_ffff;
    gdt(cpu).write_u64(1, code | privilege);
    gdt(cpu).write_u64(2, 0x00cf_9300_0000_ffff | privilege);
    gdt(cpu).write_u64(MARK, 0x0040_9300_0000_0000 | privilege | cpu as u64);
    let mut changes = Changes::<1>::new();
    changes.protect(gdt(cpu).pfn());
    changes.commit().map(drop)
}

/// Whose descriptor table is in force on the running vCPU; none if none of ours is.
pub fn gdt_owner() -> Option<usize> {
    let selector = MARK << 3 | RING as usize;
    let (limit, valid): (usize, u8);
    // SAFETY: reads a descriptor, or finds none; changes two registers and the flags.
    unsafe {
        asm!(
            "xor {limit}, {limit}",
            "lsl {limit}, {selector}",
            "setz {valid}",
            limit = out(reg) limit,
            selector = in(reg) selector,
            valid = out(reg_byte) valid,
            options(nomem, nostack),
        );
    }
    (valid != 0).then_some(limit)
}

/// Traps, callbacks and descriptors of vCPU 0, which the builder started without.
pub fn set_up_first() -> Result<()> {
    let mut traps = [ffi::trap_info::default(); EXCEPTIONS];
    let mut used = 0;
    for vector in (0..EXCEPTIONS).filter(|&vector| vector != vectors::NMI.into()) {
        traps[used] = trap(vector);
        used += 1;
    }
    // SAFETY: each address is a stub made for its vector; the rest of the array is zero and ends
    // the table.
    unsafe {
        pv::set_trap_table(&traps[..=used])?;
        for (kind, address) in [
            (ffi::CALLBACKTYPE_event, traps::event_callback()),
            (ffi::CALLBACKTYPE_failsafe, traps::failsafe_callback()),
            // Not in the table of traps: only this asks Xen for an NMI that came before there was a
            // handler (`callback.c`). It masks events, and travels in the saved context like the
            // traps.
            (ffi::CALLBACKTYPE_nmi, traps::pv_stub(vectors::NMI.into())),
        ] {
            #[cfg(target_arch = "x86")]
            let address = ffi::xen_callback {
                cs: ffi::FLAT_KERNEL_CS as _,
                eip: address as _,
            };
            pv::register_callback(kind, 0, address as _)?;
        }
    }
    Ok(())
}

/// Loads vCPU 0's descriptor table.
pub fn load_first_gdt() -> core::result::Result<(), TableError> {
    prepare_gdt(0)?;
    // SAFETY: no selector of this table is loaded; those in use are Xen's own flat ones.
    unsafe { pv::set_gdt(&[m2p::machine(gdt(0).pfn())], GDT_ENTRIES) }.map_err(|error| TableError {
        error,
        done: 0,
        page: gdt(0).pfn(),
        slot: None,
    })
}

/// How vector `vector` is handled: as by an interrupt gate, events masked.
fn trap(vector: usize) -> ffi::trap_info {
    /// `TI_SET_IF` of `public/arch-x86/xen.h`: mask events on entry.
    const MASK_EVENTS: u8 = 1 << 2;
    ffi::trap_info {
        vector: vector as u8,
        flags: MASK_EVENTS,
        cs: ffi::FLAT_KERNEL_CS as u16,
        address: traps::pv_stub(vector) as _,
    }
}

/// The context is 5 KiB on x86_64: too much for a stack.
static CONTEXT: Mutex<Option<ffi::vcpu_guest_context>> = Mutex::new(None);

/// Why a vCPU got no first registers.
#[derive(Clone, Copy, Debug)]
pub enum InitialiseError {
    /// Its tables.
    Tables(TableError),
    /// The call itself.
    Call(xen_bindings::HypercallError),
}

/// Gives vCPU `cpu` its tables and its first registers. It is no error if it has them already.
pub fn initialise(cpu: usize) -> core::result::Result<(), InitialiseError> {
    tables::prepare_cpu(cpu).map_err(InitialiseError::Tables)?;
    // In a domain that was restored the table is filled, and writable no more.
    if !direct::is_read_only(gdt(cpu).pfn()) {
        prepare_gdt(cpu).map_err(InitialiseError::Tables)?;
    }
    let mut place = CONTEXT.lock();
    let context = place.insert(ffi::vcpu_guest_context::default());
    context.flags = ffi::VGCF_IN_KERNEL as _;
    // With the NMI's, which `CALLBACKTYPE_nmi` would set for the vCPU that asks, and no other.
    for vector in 0..EXCEPTIONS {
        context.trap_ctxt[vector] = trap(vector);
    }
    context.gdt_frames[0] = m2p::machine(gdt(cpu).pfn()).0 as _;
    context.gdt_ents = GDT_ENTRIES as _;
    let stack = areas::stack_start(cpu);
    context.kernel_ss = ffi::FLAT_KERNEL_SS as _;
    context.kernel_sp = stack as _;
    context.ctrlreg[3] = pv::frame_to_cr3(m2p::machine(tables::root(cpu))) as _;
    context.event_callback_eip = traps::event_callback() as _;
    context.failsafe_callback_eip = traps::failsafe_callback() as _;
    #[cfg(target_arch = "x86")]
    {
        context.event_callback_cs = ffi::FLAT_KERNEL_CS as _;
        context.failsafe_callback_cs = ffi::FLAT_KERNEL_CS as _;
    }
    let regs = &mut context.user_regs;
    regs.cs = ffi::FLAT_KERNEL_CS as u16;
    regs.ss = ffi::FLAT_KERNEL_SS as u16;
    regs.ds = ffi::FLAT_KERNEL_DS as u16;
    regs.es = ffi::FLAT_KERNEL_DS as u16;
    #[cfg(target_arch = "x86_64")]
    {
        regs.rip = traps::pv_secondary_entry() as u64;
        regs.rsp = stack as u64;
        regs.rdi = cpu as u64;
    }
    #[cfg(target_arch = "x86")]
    {
        regs.eip = traps::pv_secondary_entry() as u32;
        regs.esp = stack as u32;
        regs.edi = cpu as u32;
    }
    // SAFETY: the entry code is made for these registers; stack, tables and descriptors are this
    // vCPU's own.
    unsafe { vcpu::initialise_pv(cpu as u32, context) }.map_err(InitialiseError::Call)
}

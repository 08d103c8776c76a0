//! A PVH kernel on flat memory (x86_64): physical addresses below 4 GiB are its virtual ones, one vCPU
//! runs, interrupts are off, and there is no descriptor table for them. For a kernel that wants to be
//! small, or to begin with; [`flat_entry!`](crate::flat_entry) is its entry code.
//!
//! What is unsafe elsewhere (where a page of Xen's is mapped, when the suspend call may be made) is
//! safe with the evidence of that state, a [`Flat`].

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use crate::cpuid::Leaves;
use crate::event_channel::Port;
use crate::frame::Gfn;
use crate::memory::{add_to_physmap, Space};
use crate::shared_info::{SharedInfo, VcpuInfo};
use crate::{console, ffi, hvm, sched, xenstore, Result};

/// The page that gives its place to shared-info. The RAM that was here is given back to Xen.
#[repr(C, align(4096))]
struct Place(UnsafeCell<[u8; 4096]>);
// SAFETY: only its address is used; what is there is seen through `SharedInfo`, which is made of
// atomics.
unsafe impl Sync for Place {}

static SHARED_INFO: Place = Place(UnsafeCell::new([0; 4096]));

/// Physical memory that the entry code's tables map.
const REACH: usize = 4 << 30;
const PAGE_SIZE: usize = 4096;

/// Evidence that the kernel runs as the module says: on the entry code's tables, on vCPU 0 alone, with
/// interrupts off. A kernel that starts another vCPU, turns interrupts on or changes tables does so
/// with `unsafe` code of its own, which must not use this any more.
#[derive(Clone, Copy, Debug)]
pub struct Flat(Leaves);

impl Flat {
    /// Has Xen fill the hypercall page.
    ///
    /// # Errors
    /// This is not Xen, or one without a hypercall page.
    ///
    /// # Safety
    /// The caller is the entry code of [`flat_entry!`](crate::flat_entry), or leaves the state that
    /// this type is evidence of.
    #[cfg(target_os = "none")]
    pub unsafe fn at_entry() -> core::result::Result<Flat, crate::pvh::InstallError> {
        let page = crate::hypercall::hypercall_page() as usize as u64;
        // SAFETY: the page is the one that this crate calls into, and its address is physical too;
        // ring 0 of a PVH guest.
        unsafe { crate::pvh::install_hypercall_page(page) }.map(Flat)
    }

    /// Xen's CPUID leaves.
    #[must_use]
    pub fn leaves(&self) -> &Leaves {
        &self.0
    }

    /// Maps the shared-info page at its place: at boot, and again in a restored domain.
    ///
    /// # Errors
    /// Xen's.
    pub fn map_shared_info(&self) -> Result<()> {
        let gfn = Gfn(SHARED_INFO.0.get() as usize / PAGE_SIZE);
        // SAFETY: the frame is `SHARED_INFO`'s own, which holds nothing else.
        unsafe { add_to_physmap(Space::SharedInfo, gfn) }
    }

    /// The shared-info page. Before it is mapped it is zeroes; between a restore and the mapping it
    /// reads as all ones.
    #[must_use]
    pub fn shared_info(&self) -> &'static SharedInfo {
        let page = NonNull::from(&SHARED_INFO).cast::<ffi::shared_info>();
        // SAFETY: a page of the kernel's image, or Xen's in its place, for as long as the kernel runs;
        // only views of atomics use it.
        unsafe { SharedInfo::at(page) }
    }

    /// vCPU 0's part of it.
    ///
    /// # Panics
    /// Never: vCPU 0 has a slot.
    #[must_use]
    pub fn vcpu_info(&self) -> &'static VcpuInfo {
        self.shared_info().vcpu(0).expect("vCPU 0 has a slot")
    }

    /// The console's ring and port; none if the toolstack gave the domain none, or one above 4 GiB,
    /// where no toolstack puts it.
    ///
    /// # Errors
    /// Xen's.
    pub fn console_ring(&self) -> Result<Option<(&'static console::Page, Port)>> {
        let ring = hvm::console_ring()?;
        Ok(ring.and_then(|ring| {
            let page = reachable(ring.frame)?;
            // SAFETY: the toolstack's page, at its physical address, for as long as the kernel runs. A
            // restore puts the new domain's page at the same GFN. It is seen through atomics, so that
            // two who use it would garble it at worst.
            Some((unsafe { console::Page::at(page.cast()) }, ring.port))
        }))
    }

    /// xenstore's ring and port, in the same way.
    ///
    /// # Errors
    /// Xen's.
    pub fn store_ring(&self) -> Result<Option<(&'static xenstore::Page, Port)>> {
        let ring = hvm::store_ring()?;
        Ok(ring.and_then(|ring| {
            let page = reachable(ring.frame)?;
            // SAFETY: as for the console.
            Some((unsafe { xenstore::Page::at(page.cast()) }, ring.port))
        }))
    }

    /// Says something on Xen's own console, by a port that is always there for a PVH guest
    /// (`hvm_print_line`, `xen/arch/x86/hvm/hvm.c`): before there is a console, or when there is none.
    pub fn say(&self, text: &[u8]) {
        for &byte in text {
            // SAFETY: Xen's debug console, which only prints; ring 0 of a PVH guest, by the evidence.
            unsafe {
                core::arch::asm!("out dx, al", in("dx") ffi::XEN_HVM_DEBUGCONS_IOPORT as u16,
                    in("al") byte, options(nomem, nostack, preserves_flags));
            }
        }
    }

    /// Makes the suspend call. Gives what it returned.
    ///
    /// # Errors
    /// Xen's: no suspend took place.
    pub fn suspend(&self) -> Result<usize> {
        // SAFETY: vCPU 0 alone, interrupts off: the evidence. Nothing that a restore takes away is
        // memory that Rust code has a reference to: shared-info and the rings are seen through atomics
        // at places that stay. Xen reads no page table of a PVH guest's.
        unsafe { sched::suspend(0) }
    }
}

fn reachable(frame: Gfn) -> Option<NonNull<u8>> {
    let address = frame.0.checked_mul(PAGE_SIZE)?;
    let reachable = address < REACH;
    NonNull::new(address as *mut u8).filter(|_| reachable)
}

/// Makes a kernel of a function: `flat_entry!(main)`, where `main` is a `fn(Flat) -> !`. Once, at the
/// top of the kernel's own crate.
///
/// It writes the entry code that Xen's domain builder is told of by an ELF note (`PHYS32_ENTRY`), page
/// tables that map the first 4 GiB at their own addresses, and a stack of 64 KiB. The kernel is linked
/// below 2 GiB, at its physical address.
///
/// The state at the entry is `docs/misc/pvh.pandoc` in Xen: flat 32-bit protected mode, paging off.
#[macro_export]
macro_rules! flat_entry {
    ($main:path) => {
        $crate::elf_note!(PHYS32_ENTRY, address "xen_flat_start");
        const _: () = {
            #[allow(unsafe_code)]
            #[no_mangle]
            extern "C" fn xen_flat_main() -> ! {
                let main: fn($crate::flat::Flat) -> ! = $main;
                // SAFETY: only the entry code below comes here.
                match unsafe { $crate::flat::Flat::at_entry() } {
                    Ok(flat) => main(flat),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        ::core::arch::global_asm!($crate::__flat_entry_code!(), options(att_syntax, raw));
    };
}

/// The entry code, the tables and the stack.
#[doc(hidden)]
#[macro_export]
macro_rules! __flat_entry_code {
    () => {
        r#"
.section .text.boot, "ax"
.code32
.globl xen_flat_start
xen_flat_start:
    cld
    movl %cr4, %eax
    orl $0x20, %eax                     /* CR4.PAE */
    movl %eax, %cr4
    movl $xen_flat_l4, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx              /* EFER */
    rdmsr
    orl $0x100, %eax                    /* EFER.LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80010000, %eax               /* CR0.PG, CR0.WP */
    movl %eax, %cr0
    lgdt xen_flat_gdt_pointer
    ljmp $0x08, $xen_flat_long
.code64
xen_flat_long:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $xen_flat_stack_end, %esp
    xorl %ebp, %ebp
    call xen_flat_main
    ud2

.section .rodata.xen_flat_gdt, "a"
.balign 8
xen_flat_gdt:
    .quad 0
    .quad 0x00af9b000000ffff            /* 0x08: 64-bit code */
    .quad 0x00cf93000000ffff            /* 0x10: data */
xen_flat_gdt_pointer:
    .word . - xen_flat_gdt - 1
    .quad xen_flat_gdt

/* 4 GiB in pages of 2 MiB, each at its own address. */
.section .data.xen_flat_tables, "aw"
.balign 4096
xen_flat_l4:
    .quad xen_flat_l3 + 3
    .skip 511 * 8
xen_flat_l3:
    .quad xen_flat_l2 + 0x0003
    .quad xen_flat_l2 + 0x1003
    .quad xen_flat_l2 + 0x2003
    .quad xen_flat_l2 + 0x3003
    .skip 508 * 8
xen_flat_l2:
    .set xen_flat_frame, 0
    .rept 2048
    .quad (xen_flat_frame << 21) + 0x83
    .set xen_flat_frame, xen_flat_frame + 1
    .endr

.section .bss.xen_flat_stack, "aw", @nobits
.balign 16
    .skip 0x10000
xen_flat_stack_end:
.section .text
"#
    };
}

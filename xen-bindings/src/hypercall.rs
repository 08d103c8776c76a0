//! The one place that enters the hypervisor.
//!
//! A hypercall is a `call` into the **hypercall page**, slot `nr * 32`, which Xen fills with the
//! instructions that fit the guest's kind and the CPU. The page is a static of this crate (symbol
//! `hypercall_page`): a PV kernel names it in the ELF note `HYPERCALL_PAGE`, a PVH kernel hands its
//! physical address to
//! [`pvh::install_hypercall_page`](crate::pvh::install_hypercall_page). Until then it is filled with
//! breakpoint instructions, so that an early call raises #BP at an address that tells what
//! happened.
//!
//! Arguments and result are machine words (public/arch-x86/xen-x86_32.h and xen-x86_64.h):
//! `ebx, ecx, edx, esi, edi` or `rdi, rsi, rdx, r10, r8`, the result in `eax`/`rax`. Argument
//! registers count as clobbered, because a debug build of Xen does clobber them.
//!
//! On a host (`target_os` other than `none`) there is no hypervisor to call: every call returns
//! `-ENOSYS`, except in this crate's own tests, which put a double in its place.

#[cfg(target_os = "none")]
pub use freestanding::*;
#[cfg(not(target_os = "none"))]
pub use host::*;

#[cfg(target_os = "none")]
mod freestanding {
    core::arch::global_asm!(
        ".pushsection .text.hypercall_page, \"ax\", @progbits",
        ".balign 4096",
        ".globl hypercall_page",
        ".type hypercall_page, @object",
        "hypercall_page:",
        ".fill 4096, 1, 0xcc",
        ".size hypercall_page, 4096",
        ".popsection",
    );

    extern "C" {
        #[link_name = "hypercall_page"]
        static HYPERCALL_PAGE: [u8; 4096];
    }

    /// The virtual address of the hypercall page, 4096-aligned, 4096 bytes long.
    #[must_use]
    pub fn hypercall_page() -> *const u8 {
        // Only the address of the static is taken; what the page holds is Xen's to write.
        core::ptr::addr_of!(HYPERCALL_PAGE).cast()
    }

    macro_rules! hypercall {
        ($(#[$doc:meta])* $name:ident($first:ident $(, $arg:ident)*) -> $ret:ident { $($sixty_four:tt)* } { $($thirty_two:tt)* }) => {
            $(#[$doc])*
            ///
            /// # Safety
            /// The hypercall page is installed, and what call `NR` does with these arguments (which
            /// may be addresses Xen reads or writes) keeps Rust's rules.
            #[inline]
            #[must_use]
            pub unsafe fn $name<const NR: u32>($first: usize $(, $arg: usize)*) -> isize {
                crate::count::add(NR, $first);
                #[cfg(feature = "faults")]
                if let Some(refused) = crate::faults::inject(NR, $first) {
                    return refused;
                }
                let $ret: isize;
                // SAFETY: by this function's contract the page holds Xen's entry stubs, of which
                // slot NR changes only the registers named as outputs, the flags, and memory that
                // the caller answers for; the stub returns to the instruction after the call.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    core::arch::asm!(
                        "call hypercall_page + {slot}",
                        slot = const NR * 32,
                        $($sixty_four)*
                        lateout("rax") $ret,
                        // syscall, the PV entry, loses these two.
                        out("rcx") _, out("r11") _,
                    );
                }
                // SAFETY: as above. LLVM keeps esi for itself, so that it is saved and loaded by
                // hand.
                #[cfg(target_arch = "x86")]
                unsafe {
                    core::arch::asm!(
                        $($thirty_two)*
                    );
                }
                $ret
            }
        };
    }

    hypercall! {
        /// Makes hypercall `NR` with one argument.
        hypercall1(a1) -> ret {
            inlateout("rdi") a1 => _,
        } {
            "call hypercall_page + {slot}",
            slot = const NR * 32,
            inlateout("ebx") a1 => _, lateout("eax") ret,
        }
    }
    hypercall! {
        /// Makes hypercall `NR` with two arguments.
        hypercall2(a1, a2) -> ret {
            inlateout("rdi") a1 => _, inlateout("rsi") a2 => _,
        } {
            "call hypercall_page + {slot}",
            slot = const NR * 32,
            inlateout("ebx") a1 => _, inlateout("ecx") a2 => _, lateout("eax") ret,
        }
    }
    hypercall! {
        /// Makes hypercall `NR` with three arguments.
        hypercall3(a1, a2, a3) -> ret {
            inlateout("rdi") a1 => _, inlateout("rsi") a2 => _, inlateout("rdx") a3 => _,
        } {
            "call hypercall_page + {slot}",
            slot = const NR * 32,
            inlateout("ebx") a1 => _, inlateout("ecx") a2 => _, inlateout("edx") a3 => _,
            lateout("eax") ret,
        }
    }
    hypercall! {
        /// Makes hypercall `NR` with four arguments.
        hypercall4(a1, a2, a3, a4) -> ret {
            inlateout("rdi") a1 => _, inlateout("rsi") a2 => _, inlateout("rdx") a3 => _,
            inlateout("r10") a4 => _,
        } {
            "push esi",
            "mov esi, eax",
            "call hypercall_page + {slot}",
            "pop esi",
            slot = const NR * 32,
            inlateout("ebx") a1 => _, inlateout("ecx") a2 => _, inlateout("edx") a3 => _,
            inlateout("eax") a4 => ret,
        }
    }
    hypercall! {
        /// Makes hypercall `NR` with five arguments.
        hypercall5(a1, a2, a3, a4, a5) -> ret {
            inlateout("rdi") a1 => _, inlateout("rsi") a2 => _, inlateout("rdx") a3 => _,
            inlateout("r10") a4 => _, inlateout("r8") a5 => _,
        } {
            "push esi",
            "mov esi, eax",
            "call hypercall_page + {slot}",
            "pop esi",
            slot = const NR * 32,
            inlateout("ebx") a1 => _, inlateout("ecx") a2 => _, inlateout("edx") a3 => _,
            inlateout("edi") a5 => _, inlateout("eax") a4 => ret,
        }
    }
}

#[cfg(not(target_os = "none"))]
mod host {
    macro_rules! hypercall {
        ($(#[$doc:meta])* $name:ident($($arg:ident),*)) => {
            $(#[$doc])*
            ///
            /// # Safety
            /// None on a host; the signature is that of the freestanding build.
            #[inline]
            #[must_use]
            pub unsafe fn $name<const NR: u32>($($arg: usize),*) -> isize {
                super::double::hypercall(NR, &[$($arg),*])
            }
        };
    }
    hypercall! {
        /// Makes hypercall `NR` with one argument: `-ENOSYS` on a host.
        hypercall1(a1)
    }
    hypercall! {
        /// Makes hypercall `NR` with two arguments: `-ENOSYS` on a host.
        hypercall2(a1, a2)
    }
    hypercall! {
        /// Makes hypercall `NR` with three arguments: `-ENOSYS` on a host.
        hypercall3(a1, a2, a3)
    }
    hypercall! {
        /// Makes hypercall `NR` with four arguments: `-ENOSYS` on a host.
        hypercall4(a1, a2, a3, a4)
    }
    hypercall! {
        /// Makes hypercall `NR` with five arguments: `-ENOSYS` on a host.
        hypercall5(a1, a2, a3, a4, a5)
    }
}

/// No hypervisor: says so.
#[cfg(all(not(target_os = "none"), not(test)))]
mod double {
    pub(super) fn hypercall(_nr: u32, _args: &[usize]) -> isize {
        -(crate::ffi::XEN_ENOSYS as isize)
    }
}

/// A hypervisor of the test's own making.
#[cfg(test)]
pub(crate) mod double {
    use std::boxed::Box;
    use std::cell::RefCell;

    type Xen = Box<dyn FnMut(u32, &[usize]) -> isize>;

    std::thread_local! {
        static XEN: RefCell<Option<Xen>> = const { RefCell::new(None) };
    }

    pub(super) fn hypercall(nr: u32, args: &[usize]) -> isize {
        XEN.with_borrow_mut(|xen| match xen {
            Some(xen) => xen(nr, args),
            None => -(crate::ffi::XEN_ENOSYS as isize),
        })
    }

    /// Runs `body` with `xen` answering this thread's hypercalls.
    pub(crate) fn with<T>(
        xen: impl FnMut(u32, &[usize]) -> isize + 'static,
        body: impl FnOnce() -> T,
    ) -> T {
        XEN.set(Some(Box::new(xen)));
        let out = body();
        XEN.set(None);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_hypervisor_every_call_is_refused() {
        // SAFETY: a host build enters nothing.
        let ret = unsafe { hypercall2::<29>(0, 0) };
        assert_eq!(ret, -38);
    }

    #[test]
    fn the_double_sees_number_and_arguments_in_order() {
        let xen = |nr: u32, args: &[usize]| {
            assert_eq!((nr, args), (24, &[1, 2, 3, 4, 5][..]));
            7
        };
        // SAFETY: a host build enters nothing.
        let ret = double::with(xen, || unsafe { hypercall5::<24>(1, 2, 3, 4, 5) });
        assert_eq!(ret, 7);
    }
}

//! [`pagetable_pool`] and [`migration`] for a kernel in C: a static library and the header
//! `include/xen_guest.h`.
//!
//! # Principles
//!
//! - **The kernel brings everything** in tables of functions: how a set is made, which CPU this is
//!   and whether interrupts are off, the clock, xenstore, the steps of a suspend. The library takes
//!   no memory but what it is given.
//! - **A proof cannot be kept.** A drain calls a function of C's, and the proof is a number that is
//!   good in that function only; used later, or on another CPU, it gives an error.
//! - **Every call gives an error number**, and looks at what it was given: a null pointer, storage
//!   that is no pool, a set that was put already, interrupts that are on.
//! - **The layout is C's**: all structures are plain, and none is passed or returned by value, for
//!   which 32-bit systems have different rules.
//!
//! All unsafe code is in the module `ffi`. What a caller promises there, once, is that the functions
//! in its tables may be called as the header says: so the types of those functions are safe ones.
#![cfg_attr(feature = "freestanding", no_std)]
#![deny(unsafe_code)]
// They are C's names.
#![allow(non_camel_case_types)]

pub mod error;
pub mod ffi;
pub mod hooks;
pub mod pool;
pub mod proof;
pub mod suspend;
pub mod tables;
mod words;

/// CPUs that a pool has room for: `XEN_GUEST_CPUS` when the library is built, else 32.
pub const CPUS: usize = number(option_env!("XEN_GUEST_CPUS"), 32);
/// Magazines of [`ROUNDS`] sets that its depot has room for: `XEN_GUEST_MAGAZINES`, else 64.
pub const MAGAZINES: usize = number(option_env!("XEN_GUEST_MAGAZINES"), 64);
/// Sets in a magazine. Each CPU's cache is two magazines.
/// cbindgen:ignore
pub const ROUNDS: usize = 15;
/// Sets that a miss constructs at once: `XEN_GUEST_BATCH`, 1 to 15, else 4.
pub const BATCH: usize = number(option_env!("XEN_GUEST_BATCH"), 4);
/// Sets that `xgl_pool_replenish` keeps ready in the depot: `XEN_GUEST_RESERVE`, else 0.
pub const RESERVE: usize = number(option_env!("XEN_GUEST_RESERVE"), 0);

/// A decimal number of the build's environment. Anything else does not compile.
const fn number(text: Option<&str>, otherwise: usize) -> usize {
    let Some(text) = text else {
        return otherwise;
    };
    let digits = text.as_bytes();
    assert!(
        !digits.is_empty(),
        "a number of the library's build is empty"
    );
    let (mut value, mut i) = (0usize, 0);
    while i < digits.len() {
        assert!(
            digits[i].is_ascii_digit(),
            "a number of the library's build is not decimal"
        );
        value = value * 10 + (digits[i] - b'0') as usize;
        i += 1;
    }
    value
}

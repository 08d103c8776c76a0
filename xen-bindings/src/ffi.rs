//! Xen's public interface as bindgen reads it from the headers, for the word size of the target.
//!
//! Names are the headers' own. Every structure's size, alignment and field offsets are checked by
//! constant assertions when the crate is compiled for its target. `README.md` says how to make the
//! files again.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
compile_error!("xen-bindings knows Xen's x86 interface only: build for target_arch x86 or x86_64");

#[cfg(target_arch = "x86")]
#[rustfmt::skip]
mod i686;
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
mod x86_64;

#[cfg(target_arch = "x86")]
pub use i686::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

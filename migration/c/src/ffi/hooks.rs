//! The hooks, and the texts of error numbers.

use core::ffi::c_char;

use crate::error::{xgl_error, TEXTS};
use crate::hooks;
use crate::tables::{xgl_line_hook, xgl_panic_hook};

/// The sentence of an error number, which names the party at fault. Never null; of a number that is none, it
/// says so. From any context.
#[no_mangle]
pub extern "C" fn xgl_error_text(error: u32) -> *const c_char {
    let known = TEXTS.iter().find(|(known, _)| *known as u32 == error);
    known
        .map_or(crate::error::NO_NUMBER, |(_, text)| text)
        .as_ptr()
}

/// Sends log lines of `level` and more serious ones to `hook`; level 0: none. Before it is called lines are
/// dropped. The hook may be called in any context in which the library is, on several CPUs at once; it must
/// not call the library.
///
/// XGL_OK, XGL_NULL, XGL_BAD_NUMBER, XGL_ALREADY.
#[no_mangle]
pub extern "C" fn xgl_set_log(hook: xgl_line_hook, level: u32) -> xgl_error {
    hooks::set_log(hook, level)
        .err()
        .unwrap_or(xgl_error::XGL_OK)
}

/// Sends a panic's message to `hook`, which must not return and must not call the library: a panic is this
/// library's mistake, and nothing the kernel gives it leads to one. If it returns, the CPU loops. A library
/// built without `freestanding` has the standard library's own end instead.
///
/// XGL_OK, XGL_NULL, XGL_ALREADY.
#[no_mangle]
pub extern "C" fn xgl_set_panic_hook(hook: xgl_panic_hook) -> xgl_error {
    hooks::set_panic(hook).err().unwrap_or(xgl_error::XGL_OK)
}

/// Named by the standard `core` of a hosted target, which was built to unwind. Nothing here unwinds: a panic ends
/// in the hook. The targets of kernels do not ask for it.
/// cbindgen:ignore
#[cfg(all(feature = "freestanding", not(target_os = "none")))]
#[no_mangle]
pub extern "C" fn rust_eh_personality() {}

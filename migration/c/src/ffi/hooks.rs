//! The hooks, and the texts of error numbers.

use core::ffi::c_char;

use crate::error::{xgl_error, TEXTS};
use crate::hooks::{self, LineTaker, PanicTaker};

/// The sentence of an error number, which names the party at fault. Never null; of a number that is none, it
/// says so. From any context.
#[no_mangle]
pub extern "C" fn xgl_error_text(error: u32) -> *const c_char {
    let known = TEXTS.iter().find(|(known, _)| *known as u32 == error);
    known
        .map_or(c"no error number of this library", |(_, text)| text)
        .as_ptr()
}

/// Sends log lines of `level` and more serious ones (1 error, 2 warning, 3 information, 4 debugging, 5
/// tracing) to `hook`, with their text, closed by a NUL, and its length. Before it is called lines are
/// dropped. The hook may be called in any context in which the library is, on several CPUs at once; it must
/// not call the library.
///
/// XGL_OK, XGL_NULL, XGL_BAD_NUMBER, XGL_ALREADY.
#[no_mangle]
pub extern "C" fn xgl_set_log(hook: Option<LineTaker>, level: u32) -> xgl_error {
    let set = hook.ok_or(xgl_error::XGL_NULL);
    let set = set.and_then(|hook| hooks::set_log(hook, level));
    set.err().unwrap_or(xgl_error::XGL_OK)
}

/// Sends a panic's message to `hook`, which must not return and must not call the library: a panic is this
/// library's mistake, and nothing the kernel gives it leads to one. If it returns, the CPU loops. A library
/// built without `freestanding` has the standard library's own end instead.
///
/// XGL_OK, XGL_NULL, XGL_ALREADY.
#[no_mangle]
pub extern "C" fn xgl_set_panic_hook(hook: Option<PanicTaker>) -> xgl_error {
    let set = hook.ok_or(xgl_error::XGL_NULL);
    let set = set.and_then(hooks::set_panic);
    set.err().unwrap_or(xgl_error::XGL_OK)
}

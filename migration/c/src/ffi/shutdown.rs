//! `control/shutdown`.

use core::ffi::{c_char, CStr};
use core::ptr;

use super::{answer, given_at, place_at};
use crate::error::xgl_error;
use crate::suspend::{advertise, number_on_the_wire, receive, Store};
use crate::tables::{xgl_store, XGL_STORE_OTHER};

/// The XGL_STORE_... number of an error as xenstored sends it in an XS_ERROR message, `"EAGAIN"` for example: for
/// the functions of `xgl_store`. A name that is not known, and null, give XGL_STORE_OTHER. From any context.
#[no_mangle]
pub unsafe extern "C" fn xgl_store_error(name: *const c_char) -> i32 {
    if name.is_null() {
        return XGL_STORE_OTHER;
    }
    // SAFETY: not null; the header's rules: a text with a NUL at its end.
    number_on_the_wire(unsafe { CStr::from_ptr(name) }.to_bytes())
}

/// Reads `control/shutdown` and answers it: when its watch fires, at boot, and from `reread`. `accepts` is made
/// of XGL_ACCEPT_..., `activity` is one of XGL_ACTIVITY_.... What is to be obeyed (`*what` is XGL_ANSWER_OBEY) was
/// acknowledged in the transaction that read it, but for XGL_REQUEST_SUSPEND, which `xgl_suspend` acknowledges.
///
/// Where the store's functions may be called. XGL_STORE: nothing was acknowledged, nothing must be done.
#[no_mangle]
pub unsafe extern "C" fn xgl_shutdown_receive(
    store: *const xgl_store,
    activity: u32,
    accepts: u32,
    request: *mut u32,
    what: *mut u32,
) -> xgl_error {
    let ask = || {
        // SAFETY: the header's rules, for all three.
        let (store, asked, to_do) =
            unsafe { (given_at(store)?, place_at(request)?, place_at(what)?) };
        let (request, answer) = receive(&mut Store::of(store)?, activity, accepts)?;
        asked.write(request);
        to_do.write(answer);
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(ask(), ptr::null_mut()) }
}

/// Says in `control/feature-poweroff`, `-reboot` and `-suspend` which requests are obeyed: at boot and after each
/// restore, when the nodes are empty again. How many were written goes to `*written`, which may be null.
///
/// Where the store's functions may be called. XGL_STORE if none could be written.
#[no_mangle]
pub unsafe extern "C" fn xgl_shutdown_advertise(
    store: *const xgl_store,
    accepts: u32,
    written: *mut u32,
) -> xgl_error {
    let say = || {
        // SAFETY: the header's rules.
        let store = unsafe { given_at(store)? };
        let nodes = advertise(&mut Store::of(store)?, accepts)?;
        // SAFETY: the header's rules; null is allowed.
        if let Ok(place) = unsafe { place_at(written) } {
            place.write(nodes);
        }
        Ok(())
    };
    // SAFETY: no detail is asked for.
    unsafe { answer(say(), ptr::null_mut()) }
}

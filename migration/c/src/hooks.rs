//! Where log lines and panics go.

use core::ffi::c_char;

use log::{Level, LevelFilter, Log, Metadata, Record};
use spin::Once;

use crate::error::xgl_error;
use crate::tables::{xgl_line_hook, xgl_panic_hook};
use crate::words::Words;

/// A line's longest text, the NUL included.
const LINE: usize = 256;

type LineTaker = extern "C" fn(level: u32, text: *const c_char, len: usize);
type PanicTaker = extern "C" fn(text: *const c_char, len: usize);

struct Sink(Once<LineTaker>);

static SINK: Sink = Sink(Once::new());
static PANIC: Once<PanicTaker> = Once::new();

impl Log for Sink {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(take) = self.0.get() {
            let line: Words<LINE> = Words::of(record.args());
            let len = line.as_bytes().len();
            take(record.level() as u32, line.whole().as_ptr(), len);
        }
    }

    fn flush(&self) {}
}

/// Sends lines up to `level` to `hook`. Once for all.
pub fn set_log(hook: xgl_line_hook, level: u32) -> Result<(), xgl_error> {
    let hook = hook.ok_or(xgl_error::XGL_NULL)?;
    let filters = LevelFilter::iter().find(|filter| *filter as u32 == level);
    let filter = filters.ok_or(xgl_error::XGL_BAD_NUMBER)?;
    log::set_logger(&SINK).map_err(|_| xgl_error::XGL_ALREADY)?;
    SINK.0.call_once(|| hook);
    log::set_max_level(filter.min(Level::Trace.to_level_filter()));
    Ok(())
}

/// Sends a panic's message to `hook`. Once for all.
pub fn set_panic(hook: xgl_panic_hook) -> Result<(), xgl_error> {
    let hook = hook.ok_or(xgl_error::XGL_NULL)?;
    let mut ours = false;
    PANIC.call_once(|| {
        ours = true;
        hook
    });
    if ours {
        Ok(())
    } else {
        Err(xgl_error::XGL_ALREADY)
    }
}

/// Tells the hook. If it returns, this CPU goes no further: there is nothing to return to.
#[cfg(all(feature = "freestanding", not(test)))]
#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    if let Some(take) = PANIC.get() {
        let text: Words<LINE> = Words::of(info);
        let len = text.as_bytes().len();
        take(text.whole().as_ptr(), len);
    }
    loop {
        core::hint::spin_loop();
    }
}

//! Atomics, cells and locks: the real ones, or the model checkers' stand-ins.
//!
//! Under `--cfg loom` and `--cfg shuttle` the same algorithm runs on the checker's types. Theirs
//! have no `const` constructor, so `const fn` and array set-up go through the two macros below.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use core::sync::atomic::{fence, AtomicBool, AtomicU32, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{fence, AtomicBool, AtomicU32, Ordering};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{fence, AtomicBool, AtomicU32, Ordering};

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

/// `core`'s cell with loom's interface.
#[cfg(not(loom))]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }
}

#[cfg(not(any(loom, shuttle)))]
pub(crate) type RawMutex<T> = spin::mutex::SpinMutex<T>;
#[cfg(not(any(loom, shuttle)))]
pub(crate) type RawMutexGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T>;
#[cfg(loom)]
pub(crate) type RawMutex<T> = loom::sync::Mutex<T>;
#[cfg(loom)]
pub(crate) type RawMutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;
#[cfg(shuttle)]
pub(crate) type RawMutex<T> = shuttle::sync::Mutex<T>;
#[cfg(shuttle)]
pub(crate) type RawMutexGuard<'a, T> = shuttle::sync::MutexGuard<'a, T>;

#[cfg(not(any(loom, shuttle)))]
pub(crate) fn lock<T>(mutex: &RawMutex<T>) -> RawMutexGuard<'_, T> {
    mutex.lock()
}
#[cfg(any(loom, shuttle))]
pub(crate) fn lock<T>(mutex: &RawMutex<T>) -> RawMutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A `const fn`, which under a model checker is a plain `fn`.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(any(loom, shuttle)))]
        $(#[$attr])*
        $vis const fn $($rest)*

        #[cfg(any(loom, shuttle))]
        $(#[$attr])*
        $vis fn $($rest)*
    };
}
pub(crate) use const_fn;

/// An array whose elements need no `Copy`.
macro_rules! array {
    ($element:expr; $count:expr) => {{
        #[cfg(not(any(loom, shuttle)))]
        let array = [const { $element }; $count];
        #[cfg(any(loom, shuttle))]
        let array = core::array::from_fn(|_| $element);
        array
    }};
}
pub(crate) use array;

//! The few calls of the C library that the standard library does not offer.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

extern "C" {
    fn fcntl(fd: i32, command: i32, argument: i32) -> i32;
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
    fn ioctl(fd: i32, request: u64, argument: *mut u8) -> i32;
    fn mmap(at: *mut u8, len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> *mut u8;
    fn sched_setaffinity(pid: i32, len: usize, mask: *const u64) -> i32;
    fn nice(by: i32) -> i32;
}

/// A clock of Linux (`include/uapi/linux/time.h`).
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Clock {
    /// Does not count the time for which the machine was suspended.
    Monotonic = 1,
    /// Counts it.
    Boot = 7,
}

/// Nanoseconds of a clock.
pub fn now(clock: Clock) -> i64 {
    let mut time = [0; 2];
    // SAFETY: on x86_64 `struct timespec` is two 64-bit signed integers, and `time` has room for
    // them.
    let failed = unsafe { clock_gettime(clock as i32, &mut time) };
    // Both clocks exist in every Linux of the lab; a failure would show as time 0.
    debug_assert_eq!(failed, 0);
    time[0] * 1_000_000_000 + time[1]
}

/// Keeps the calling thread on one CPU below 64; where that CPU does not exist the thread stays as
/// it was.
pub fn stay_on(cpu: usize) {
    let mask = 1u64 << (cpu % 64);
    // SAFETY: the mask is 8 bytes, as said; 0 is the calling thread.
    unsafe { sched_setaffinity(0, 8, &mask) };
}

/// Has this process run before others that are not like it, within what is fair (`nice(2)`).
pub fn go_first() {
    // SAFETY: takes a number and touches no memory of ours.
    unsafe { nice(-20) };
}

/// Lets a pipe hold 1 MiB: what passes through changes hands less often. Something that is no pipe
/// stays as it is.
pub fn widen_pipe(pipe: &File) {
    // SAFETY: F_SETPIPE_SZ (1031) takes a number and touches no memory of ours.
    unsafe { fcntl(pipe.as_raw_fd(), 1031, 1 << 20) };
}

/// A page that the hypervisor may write to (`/dev/xen/hypercall`: memory that Linux never moves).
#[derive(Debug)]
pub struct Page {
    at: NonNull<u64>,
    _file: File,
}

/// 64-bit words in a page.
pub const WORDS: usize = 512;

impl Page {
    /// Maps one.
    ///
    /// # Errors
    /// If this is not a Xen dom0 with Linux 4.18 or later.
    pub fn new() -> Result<Self, String> {
        let path = "/dev/xen/hypercall";
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| format!("{path}: {e}"))?;
        // SAFETY: a new shared, readable and writable mapping at a place the kernel chooses aliases
        // nothing.
        let at = unsafe { mmap(std::ptr::null_mut(), 4096, 3, 1, file.as_raw_fd(), 0) };
        if at as usize == usize::MAX {
            return Err(format!("{path}: cannot be mapped"));
        }
        let at = NonNull::new(at.cast()).ok_or("a page was mapped at address 0")?;
        Ok(Self { at, _file: file })
    }

    /// Its words.
    pub fn words(&mut self) -> &mut [u64; WORDS] {
        // SAFETY: the mapping is one page, lives as long as `self`, and only hypercalls, which take
        // `&mut self` too, write to it. Every bit pattern is a number.
        unsafe { self.at.cast::<[u64; WORDS]>().as_mut() }
    }

    /// Does a hypercall whose first argument is the page's address.
    ///
    /// # Errors
    /// If Xen or Linux refuses it.
    pub fn hypercall(&mut self, privcmd: &File, number: u64) -> Result<(), String> {
        // struct privcmd_hypercall of Linux: the number and five arguments; _IOC(_IOC_NONE, 'P', 0,
        // 48).
        let mut call = [number, self.at.as_ptr() as u64, 0, 0, 0, 0];
        // SAFETY: the request reads 48 bytes, which `call` is. What the hypercall itself writes
        // lies in the page.
        let result = unsafe { ioctl(privcmd.as_raw_fd(), 0x30_5000, call.as_mut_ptr().cast()) };
        if result < 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        Ok(())
    }
}

//! The page Xen shares with the domain, and the structure it shares with each vCPU: event flags and
//! time.
//!
//! Both sides write these while the other reads. They are therefore seen only through atomics,
//! behind shared references that stay valid whatever Xen does. The same view serves a page that is
//! mapped again after a restore at the same virtual address: what it says is then simply new.
//!
//! The layout is that of the *kernel's* word size. A new or restored PVH domain counts as 64-bit
//! until the kernel sets [`Param::CallbackIrq`](crate::hvm::Param::CallbackIrq): before that, a
//! 32-bit kernel reads nonsense here.

use crate::ffi;
use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::{addr_of_mut, NonNull};
use core::sync::atomic::{fence, AtomicU32, AtomicU8, Ordering};

/// An atomic machine word: `xen_ulong_t` as both sides see it.
#[cfg(target_pointer_width = "32")]
pub type AtomicWord = core::sync::atomic::AtomicU32;
/// An atomic machine word: `xen_ulong_t` as both sides see it.
#[cfg(target_pointer_width = "64")]
pub type AtomicWord = core::sync::atomic::AtomicU64;

/// Bits in a machine word, words in an event bitmap: 32 or 64.
pub const WORD_BITS: usize = ffi::xen_ulong_t::BITS as usize;

/// The shared-info page.
#[doc(alias = "shared_info")]
#[repr(transparent)]
pub struct SharedInfo(UnsafeCell<ffi::shared_info>);

// SAFETY: everything is read and written through atomics.
unsafe impl Sync for SharedInfo {}

/// A vCPU's part: in the shared-info page for the first 32 vCPUs, or where
/// [`register_vcpu_info`](crate::vcpu::register_vcpu_info) put it.
#[doc(alias = "vcpu_info")]
#[repr(transparent)]
pub struct VcpuInfo(UnsafeCell<ffi::vcpu_info>);

// SAFETY: everything is read and written through atomics.
unsafe impl Sync for VcpuInfo {}

impl SharedInfo {
    /// Views the page at `page`.
    ///
    /// # Safety
    /// For `'a`, `page` is where the shared-info page is mapped, readable and writable, except
    /// between a suspend and the mapping that follows it, when nobody uses the view. Nothing but
    /// views of this kind uses it.
    #[must_use]
    pub unsafe fn at<'a>(page: NonNull<ffi::shared_info>) -> &'a Self {
        // SAFETY: the caller's contract; the type is transparent and allows change behind shared
        // references.
        unsafe { page.cast().as_ref() }
    }

    /// The page itself, for what has no method here (a PV guest's p2m fields).
    #[must_use]
    pub fn as_ptr(&self) -> *mut ffi::shared_info {
        self.0.get()
    }

    /// The part of a vCPU that has a slot in this page: one of the first 32.
    #[must_use]
    pub fn vcpu(&self, vcpu: u32) -> Option<&VcpuInfo> {
        let slot = usize::try_from(vcpu).ok()?;
        if slot >= ffi::XEN_LEGACY_MAX_VCPUS as usize {
            return None;
        }
        // SAFETY: the slot is within the array, which lives as long as `self`; the type is
        // transparent and allows change behind shared references.
        Some(unsafe { &*addr_of_mut!((*self.0.get()).vcpu_info[slot]).cast::<VcpuInfo>() })
    }

    /// One bit for each port: an event has come since the bit was cleared.
    #[doc(alias = "evtchn_pending")]
    #[must_use]
    pub fn pending(&self) -> &[AtomicWord; WORD_BITS] {
        // SAFETY: an array of words, aligned as such, seen as an array of atomic words of the same
        // size.
        unsafe { &*addr_of_mut!((*self.0.get()).evtchn_pending).cast() }
    }

    /// One bit for each port: set means that an event raises no upcall. A restore sets all of them.
    #[doc(alias = "evtchn_mask")]
    #[must_use]
    pub fn mask(&self) -> &[AtomicWord; WORD_BITS] {
        // SAFETY: as for `pending`.
        unsafe { &*addr_of_mut!((*self.0.get()).evtchn_mask).cast() }
    }

    /// The time of day at which system time was 0: seconds and nanoseconds since 1970 (UTC, and the
    /// domain's offset). Changes when dom0's clock is set, and at restore.
    ///
    /// # Errors
    /// [`NotMapped`].
    pub fn wall_clock(&self) -> Result<WallClock, NotMapped> {
        let info = self.0.get();
        // SAFETY: fields of the page, which lives as long as `self`, seen as atomics of the same
        // size.
        let (version, seconds, nanoseconds, high) = unsafe {
            (
                AtomicU32::from_ptr(addr_of_mut!((*info).wc_version)),
                AtomicU32::from_ptr(addr_of_mut!((*info).wc_sec)),
                AtomicU32::from_ptr(addr_of_mut!((*info).wc_nsec)),
                #[cfg(target_arch = "x86")]
                AtomicU32::from_ptr(addr_of_mut!((*info).arch.wc_sec_hi)),
                #[cfg(target_arch = "x86_64")]
                AtomicU32::from_ptr(addr_of_mut!((*info).wc_sec_hi)),
            )
        };
        consistent(version, || WallClock {
            seconds: u64::from(high.load(Ordering::Relaxed)) << 32
                | u64::from(seconds.load(Ordering::Relaxed)),
            nanoseconds: nanoseconds.load(Ordering::Relaxed),
        })
    }
}

/// A moment of the day, as [`SharedInfo::wall_clock`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallClock {
    /// Seconds since 1970.
    pub seconds: u64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

/// Xen's system time: nanoseconds since the host was started. **Another host's after a restore**, and
/// then perhaps an earlier one: what a kernel gives out as its own time is a type of its own, made of
/// this and an offset. Timers and [`sched::poll`](crate::sched::poll) take this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemTime(pub u64);

/// The page is not mapped: every byte reads as all ones, which Xen gives for a hole in a guest's
/// memory map, as it is in a new domain where the shared-info page was. Map it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMapped;

impl fmt::Display for NotMapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared-info page is not mapped: its place reads as all ones")
    }
}

impl core::error::Error for NotMapped {}

/// So many looks at a version of all ones. Xen's own writes last for a few instructions, and its
/// version has that value once in 2^31 of them.
const LOOKS_AT_A_HOLE: u32 = 1 << 10;

/// Reads until nothing was written in between: an odd version means that a write is under way, a
/// changed one that there was one.
fn consistent<T>(version: &AtomicU32, mut read: impl FnMut() -> T) -> Result<T, NotMapped> {
    let mut looks = 0;
    loop {
        let before = version.load(Ordering::Acquire);
        if before & 1 == 0 {
            let value = read();
            fence(Ordering::Acquire);
            if version.load(Ordering::Relaxed) == before {
                return Ok(value);
            }
        } else if before == u32::MAX {
            looks += 1;
            if looks > LOOKS_AT_A_HOLE {
                return Err(NotMapped);
            }
        }
        // The writer is Xen, on this vCPU's own CPU or briefly on another: it does not sleep in
        // between.
        core::hint::spin_loop();
    }
}

impl VcpuInfo {
    /// Views the structure at `info`.
    ///
    /// # Safety
    /// As [`SharedInfo::at`], for a `vcpu_info` that Xen uses, or that it will.
    #[must_use]
    pub unsafe fn at<'a>(info: NonNull<ffi::vcpu_info>) -> &'a Self {
        // SAFETY: the caller's contract; the type is transparent and allows change behind shared
        // references.
        unsafe { info.cast().as_ref() }
    }

    /// Non-zero: there is something to scan for. Xen sets it, and raises the upcall.
    #[must_use]
    pub fn upcall_pending(&self) -> &AtomicU8 {
        // SAFETY: a field of the structure, which lives as long as `self`, seen as an atomic of its
        // size.
        unsafe { AtomicU8::from_ptr(addr_of_mut!((*self.0.get()).evtchn_upcall_pending)) }
    }

    /// Non-zero: no upcall. In a PV guest this is what the interrupt flag is elsewhere; a PVH guest
    /// leaves it 0.
    #[must_use]
    pub fn upcall_mask(&self) -> &AtomicU8 {
        // SAFETY: as for `upcall_pending`.
        unsafe { AtomicU8::from_ptr(addr_of_mut!((*self.0.get()).evtchn_upcall_mask)) }
    }

    /// One bit for each word of [`SharedInfo::pending`] that has had a new bit for this vCPU.
    #[doc(alias = "evtchn_pending_sel")]
    #[must_use]
    pub fn selector(&self) -> &AtomicWord {
        // SAFETY: as for `upcall_pending`.
        unsafe { AtomicWord::from_ptr(addr_of_mut!((*self.0.get()).evtchn_pending_sel)) }
    }

    /// The address of the last page fault (PV: there is no CR2 to read).
    #[must_use]
    pub fn fault_address(&self) -> usize {
        // SAFETY: as for `upcall_pending`.
        let cr2 = unsafe { AtomicWord::from_ptr(addr_of_mut!((*self.0.get()).arch.cr2).cast()) };
        cr2.load(Ordering::Relaxed) as usize
    }

    /// How to make system time of this vCPU's TSC, from now until Xen says otherwise.
    ///
    /// # Errors
    /// [`NotMapped`].
    pub fn clock(&self) -> Result<Clock, NotMapped> {
        let (version, words) = self.time_words();
        consistent(version, || Clock::from_words(words))
    }

    /// System time.
    ///
    /// Only on this vCPU itself. Not monotonic across vCPUs, nor across restore and migration, when
    /// the host is another: the caller keeps an offset, and the highest value it has given out.
    ///
    /// # Errors
    /// [`NotMapped`].
    pub fn now(&self) -> Result<SystemTime, NotMapped> {
        let (version, words) = self.time_words();
        // The TSC is read inside: should this vCPU move to another CPU in between, the version
        // tells.
        consistent(version, || SystemTime(Clock::from_words(words).at(tsc())))
    }

    fn time_words(&self) -> (&AtomicU32, &[AtomicU32; 8]) {
        // SAFETY: vcpu_time_info has 32 bytes (asserted with the bindings) and is aligned to 4 or
        // more; it lives as long as `self`, and is seen as 8 atomic words, so that no read of it
        // can race undefined.
        let words: &[AtomicU32; 8] = unsafe { &*addr_of_mut!((*self.0.get()).time).cast() };
        (&words[0], words)
    }
}

/// How system time follows from the TSC: what [`VcpuInfo::clock`] found.
#[doc(alias = "vcpu_time_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// TSC at the last update.
    pub tsc_timestamp: u64,
    /// System time at the last update, in nanoseconds.
    pub system_time: u64,
    /// Nanoseconds per (shifted) tick, times 2^32.
    pub mul: u32,
    /// How far to shift ticks first: to the left if positive.
    pub shift: i8,
    /// `XEN_PVCLOCK_*`.
    pub flags: u8,
}

impl Clock {
    fn from_words(words: &[AtomicU32; 8]) -> Self {
        let word = |i: usize| words[i].load(Ordering::Relaxed);
        let long = |i: usize| u64::from(word(i + 1)) << 32 | u64::from(word(i));
        let [shift, flags, ..] = word(7).to_le_bytes();
        Self {
            tsc_timestamp: long(2),
            system_time: long(4),
            mul: word(6),
            shift: shift as i8,
            flags,
        }
    }

    /// System time at a TSC value. A TSC before the last update counts as the update itself.
    ///
    /// A new domain's TSC begins at 0, and the last update may be of before that: the timestamp is
    /// negative then, until Xen's next update within a second (`__update_vcpu_system_time` and
    /// `gtime_to_gtsc`, `xen/arch/x86/time.c`).
    #[must_use]
    pub fn at(&self, tsc: u64) -> u64 {
        let ticks = (tsc.wrapping_sub(self.tsc_timestamp) as i64).max(0) as u64;
        self.system_time
            .wrapping_add(scale_delta(ticks, self.mul, self.shift))
    }

    /// The TSC's frequency in kHz; none if Xen has not filled this in yet.
    #[must_use]
    pub fn tsc_khz(&self) -> Option<u64> {
        // (10^6 << 32) / mul, shifted back. 10^6 << 32 is below 2^52, and shifted by 11 still fits.
        let khz = (1_000_000u64 << 32).checked_div(self.mul.into())?;
        Some(match self.shift {
            0.. => khz
                .checked_shr(self.shift.unsigned_abs().into())
                .unwrap_or(0),
            _ => khz
                .checked_shl(self.shift.unsigned_abs().into())
                .unwrap_or(0),
        })
    }

    /// Whether the TSC is in step on all vCPUs.
    #[doc(alias = "XEN_PVCLOCK_TSC_STABLE_BIT")]
    #[must_use]
    pub fn tsc_is_stable(&self) -> bool {
        u32::from(self.flags) & ffi::XEN_PVCLOCK_TSC_STABLE_BIT != 0
    }
}

/// Ticks to nanoseconds: `((ticks << shift) * mul) >> 32`, as `public/xen.h` has it.
///
/// Bits shifted out of 64 are lost, as in Xen itself; a shift of 64 or more gives 0.
#[must_use]
pub fn scale_delta(ticks: u64, mul: u32, shift: i8) -> u64 {
    let by = u32::from(shift.unsigned_abs());
    let ticks = if shift < 0 {
        ticks.checked_shr(by)
    } else {
        ticks.checked_shl(by)
    }
    .unwrap_or(0);
    // A 96-bit product in two parts, neither of which can overflow: 128-bit arithmetic is a library
    // call on i686.
    let (low, high) = (ticks & 0xffff_ffff, ticks >> 32);
    let mul = u64::from(mul);
    high.wrapping_mul(mul).wrapping_add((low * mul) >> 32)
}

/// This CPU's time-stamp counter, read after every earlier load.
#[must_use]
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: every CPU that runs Xen has both instructions; a guest may always read the TSC (Xen
    // emulates it where it is not to be seen as is). Not `nomem`, so that loads stay on their side
    // of it.
    unsafe {
        core::arch::asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::boxed::Box;

    /// A page that `fill` has written, seen from the guest; it stays for the rest of the tests.
    pub(crate) fn page(fill: impl FnOnce(&mut ffi::shared_info)) -> &'static SharedInfo {
        let page = Box::leak(Box::default());
        fill(page);
        // SAFETY: a live page that only this view uses from here on.
        unsafe { SharedInfo::at(NonNull::from(page)) }
    }

    proptest! {
        #[test]
        fn scale_delta_is_the_header_s_formula(ticks: u64, mul: u32, shift in -70i8..70) {
            let shifted = match shift {
                64.. | ..=-64 => 0,
                0.. => ticks << shift,
                _ => ticks >> -shift,
            };
            let wide = (u128::from(shifted) * u128::from(mul)) >> 32;
            prop_assert_eq!(scale_delta(ticks, mul, shift), wide as u64);
        }
    }

    #[test]
    fn scale_delta_at_its_ends() {
        assert_eq!(
            scale_delta(u64::MAX, u32::MAX, 0),
            ((u128::from(u64::MAX) * u128::from(u32::MAX)) >> 32) as u64
        );
        assert_eq!(scale_delta(u64::MAX, u32::MAX, i8::MIN), 0);
        assert_eq!(scale_delta(1, u32::MAX, i8::MAX), 0);
        // 2 GHz: half a nanosecond a tick.
        assert_eq!(scale_delta(2_000_000_000, 1 << 31, 0), 1_000_000_000);
    }

    #[test]
    fn a_clock_is_read_from_its_structure() {
        let view = page(|page| {
            page.vcpu_info[3].time = ffi::vcpu_time_info {
                version: 4,
                tsc_timestamp: 0x1_0000_0000,
                system_time: 0x2_0000_0005,
                tsc_to_system_mul: 1 << 31,
                tsc_shift: -1,
                flags: 1,
                ..Default::default()
            }
        });
        let clock = view.vcpu(3).unwrap().clock().unwrap();
        assert_eq!(clock.at(0x1_0000_0000), 0x2_0000_0005);
        assert_eq!(clock.at(0x1_0000_0000 + 4000), 0x2_0000_0005 + 1000);
        // A TSC of before the update, as on a vCPU whose TSC lags.
        assert_eq!(clock.at(0), 0x2_0000_0005);
        // An update of before the domain: its TSC was 2000 below zero.
        let young = Clock {
            tsc_timestamp: 0u64.wrapping_sub(2000),
            ..clock
        };
        assert_eq!(young.at(2000), 0x2_0000_0005 + 1000);
        assert!(clock.tsc_is_stable());
        assert_eq!(clock.tsc_khz(), Some(4_000_000));
        assert_eq!(Clock { mul: 0, ..clock }.tsc_khz(), None);
        assert!(view.vcpu(32).is_none());
        assert!(!view.vcpu(2).unwrap().clock().unwrap().tsc_is_stable());
    }

    #[test]
    fn a_time_is_never_a_mixture() {
        // A writer that follows the protocol, and a reader that must only ever see a pair as
        // written.
        let view = page(|_| ());
        let time = view.vcpu(0).unwrap();
        let (version, words) = time.time_words();
        let stop = core::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0u32.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    version.fetch_add(1, Ordering::SeqCst);
                    for word in &words[2..6] {
                        word.store(n, Ordering::Relaxed);
                    }
                    version.fetch_add(1, Ordering::SeqCst);
                }
            });
            // Not before the writer runs beside the reader.
            let clock = || time.clock().unwrap();
            while clock().system_time == 0 {
                std::thread::yield_now();
            }
            let mixture = (0..200_000).map(|_| clock()).find(|clock| {
                clock.tsc_timestamp != clock.system_time
                    || clock.system_time >> 32 != clock.system_time & 0xffff_ffff
            });
            stop.store(true, Ordering::Relaxed);
            assert_eq!(mixture, None);
        });
    }

    #[test]
    fn the_wall_clock_has_64_bits_of_seconds() {
        let view = page(|page| {
            (page.wc_sec, page.wc_nsec) = (5, 6);
            #[cfg(target_arch = "x86")]
            (page.arch.wc_sec_hi = 1);
            #[cfg(target_arch = "x86_64")]
            (page.wc_sec_hi = 1);
        });
        let want = WallClock {
            seconds: (1 << 32) + 5,
            nanoseconds: 6,
        };
        assert_eq!(view.wall_clock(), Ok(want));
    }

    #[test]
    fn a_hole_is_said_to_be_one() {
        let view = page(|page| {
            // SAFETY: plain integers, any bits are valid.
            unsafe { core::ptr::from_mut(page).write_bytes(0xff, 1) };
        });
        let vcpu = view.vcpu(0).unwrap();
        assert_eq!(vcpu.now(), Err(NotMapped));
        assert_eq!(vcpu.clock(), Err(NotMapped));
        assert_eq!(view.wall_clock(), Err(NotMapped));
    }

    #[test]
    fn the_bitmaps_and_flags_are_the_structure_s_own() {
        let view = page(|page| {
            page.evtchn_pending[WORD_BITS - 1] = 1 << (WORD_BITS - 1);
            page.evtchn_mask[0] = 1;
            page.vcpu_info[1].evtchn_upcall_pending = 1;
            page.vcpu_info[1].evtchn_pending_sel = 1 << (WORD_BITS - 1);
            page.vcpu_info[1].arch.cr2 = 0xdead;
        });
        let last = &view.pending()[WORD_BITS - 1];
        assert_eq!(last.load(Ordering::Relaxed), 1 << (WORD_BITS - 1));
        assert_eq!(view.mask()[0].load(Ordering::Relaxed), 1);
        let vcpu = view.vcpu(1).unwrap();
        assert_eq!(vcpu.upcall_pending().load(Ordering::Relaxed), 1);
        assert_eq!(vcpu.upcall_mask().load(Ordering::Relaxed), 0);
        assert_eq!(
            vcpu.selector().load(Ordering::Relaxed),
            1 << (WORD_BITS - 1)
        );
        assert_eq!(vcpu.fault_address(), 0xdead);
    }
}

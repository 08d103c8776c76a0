//! Suspend, resume, CPU hotplug and page-table audit for a kernel that runs as a Xen guest.
//!
//! # Principles
//!
//! - **The way back is written once.** States are types that own the state before them; dropping
//!   one undoes its step. A failed step, a cancelled suspend and a restore take the same way in the
//!   same order ([`machine`]).
//! - **Without proof there is no suspend.** The hypercall takes the pool's proof that its caches
//!   are empty ([`Platform::Drained`]), and the chain of types leads through the audit.
//! - **Devices take part, one by one.** Each [`Participant`] is suspended, and undone, cancelled or
//!   restored, by itself; one that does not come back is named and holds no other.
//! - **Cancelled until proven restored.** And before the hypercall has returned: failed.
//! - **Nothing waits for ever.** Every step has a limit inside libxl's two windows ([`Limits`]);
//!   running out is an error with a name.
//! - **What the other side sends is input.** Unknown, missing, repeated and withdrawn requests are
//!   answers to give, not reasons to stop. Nothing here panics on them.
//! - **Errors name a party**: the guest, Xen, the toolstack or a backend.
//! - No allocation, no unsafe code, no hypercall: the kernel brings those through small traits
//!   ([`Platform`], [`Participant`], [`Xenstore`](xenstore::Xenstore), [`Clock`]).
//!
//! Where a rule of Xen's is followed, its source is named: function and file, with a line of Xen
//! 4.20.2 where that helps.
//!
//! # A whole suspend
//!
//! What a kernel writes: a [`Platform`] for itself, a [`Participant`] for each device that has to
//! be quiet, and a call when `control/shutdown` says so.
//!
//! ```
//! use std::time::Duration;
//! use migration::shutdown::{self, Accepts, Activity, Answer, Request};
//! use migration::xenstore::{StoreError, Xenstore};
//! use migration::{
//!     Clock, Deadline, Incarnation, Limits, Machine, Member, Outcome, Participant, Phase, Platform,
//!     Return, Role, Stage,
//! };
//!
//! /// A xenstore with one node, where the toolstack has just written `suspend`.
//! struct Store(Vec<u8>);
//! impl Xenstore for Store {
//!     type Tx = u32;
//!     fn read(&mut self, _: Option<u32>, _: &str, buf: &mut [u8]) -> Result<usize, StoreError> {
//!         buf[..self.0.len()].copy_from_slice(&self.0);
//!         Ok(self.0.len())
//!     }
//!     fn write(&mut self, _: Option<u32>, _: &str, value: &[u8]) -> Result<(), StoreError> {
//!         self.0 = value.to_vec();
//!         Ok(())
//!     }
//!     fn transaction_start(&mut self) -> Result<u32, StoreError> { Ok(1) }
//!     fn transaction_end(&mut self, _: u32, _: bool) -> Result<(), StoreError> { Ok(()) }
//!     fn watch(&mut self, _: &str, _: &str) -> Result<(), StoreError> { Ok(()) }
//! }
//!
//! /// In a kernel: `pagetable_pool`'s `Drained`. Dropping it reopens the pool.
//! struct Drained;
//!
//! /// A PVH guest: nothing has to be taken down before the call, so `detach` keeps its default.
//! struct Kernel { store: Store, parked: bool, shared_info: bool }
//!
//! impl Clock for Kernel {
//!     fn now(&self) -> Duration { Duration::ZERO }
//! }
//!
//! impl Platform for Kernel {
//!     type Error = &'static str;
//!     type Drained = Drained;
//!     type Store = Store;
//!
//!     fn entered(&mut self, phase: Phase, since: Duration) {
//!         println!("{phase} after {since:?}");
//!     }
//!     fn xenstore(&mut self) -> Option<&mut Store> { Some(&mut self.store) }
//!     fn park(&mut self, _: Deadline) -> Result<(), &'static str> {
//!         self.parked = true;
//!         Ok(())
//!     }
//!     fn unpark(&mut self, _: Return, _: Deadline) -> Result<(), &'static str> {
//!         self.parked = false;
//!         Ok(())
//!     }
//!     fn drain(&mut self, _: Deadline) -> Result<Drained, &'static str> { Ok(Drained) }
//!     fn audit(&mut self, _: &Drained, _: Deadline) -> Result<(), &'static str> { Ok(()) }
//!     fn suspend(&mut self, _proof: &Drained) -> Result<Outcome, &'static str> {
//!         assert!(self.parked);
//!         // CPUID's number, the call, and the number again. The new domain has a hole where the
//!         // shared-info page was.
//!         let (before, returned, after) = (Some(1), 0, Some(2));
//!         self.shared_info = false;
//!         Ok(Outcome::decode(returned, Incarnation::Seen { before, after }))
//!     }
//!     fn reattach(&mut self, how: Return) -> Result<(), &'static str> {
//!         if how == Return::Restored {
//!             self.shared_info = true; // HVM_PARAM_CALLBACK_IRQ, then XENMAPSPACE_shared_info
//!         }
//!         Ok(())
//!     }
//!     fn reread(&mut self, _: Return) -> Result<(), &'static str> { Ok(()) }
//! }
//!
//! /// A disk whose backend has to be found anew in a new domain.
//! #[derive(Default)]
//! struct Disk { quiet: bool, connecting: bool, looks: u32 }
//! impl Participant<Kernel> for Disk {
//!     fn role(&self) -> Role { Role::new("disk").back_within(Duration::from_secs(5)) }
//!     fn suspend(&mut self, _: Stage, _: &mut Kernel, _: Deadline) -> Result<(), &'static str> {
//!         self.quiet = true;
//!         Ok(())
//!     }
//!     fn undo(&mut self, _: Stage, _: &mut Kernel) -> Result<(), &'static str> {
//!         self.quiet = false;
//!         Ok(())
//!     }
//!     fn restored(&mut self, _: Stage, kernel: &mut Kernel) -> Result<(), &'static str> {
//!         self.connecting = true; // writes its ring to kernel.store, and does not wait
//!         Ok(())
//!     }
//!     fn is_back(&mut self, _: &mut Kernel) -> Result<bool, &'static str> {
//!         self.looks += 1; // in a kernel: the backend's state
//!         self.quiet = self.looks < 3;
//!         Ok(!self.quiet)
//!     }
//! }
//!
//! let mut kernel = Kernel {
//!     store: Store(b"suspend".to_vec()), parked: false, shared_info: true,
//! };
//! // The watch has fired.
//! let (request, answer) =
//!     shutdown::receive(&mut kernel.store, Activity::Running, &Accepts::USUAL, 8).unwrap();
//! assert_eq!((request, answer), (Request::Suspend, Answer::Obey));
//!
//! let mut disk = Disk::default();
//! let mut devices = [Member::new(&mut disk)];
//! let resumed = Machine::new(&mut kernel, &mut devices, Limits::DEFAULT).suspend().unwrap();
//!
//! assert_eq!(resumed.outcome, Outcome::Restored);
//! assert!(resumed.faults.is_empty());
//! assert!(resumed.timeline.entered(Phase::Detached).is_some());
//! assert!(!kernel.parked && kernel.shared_info && kernel.store.0.is_empty());
//! assert!(disk.connecting && !disk.quiet);
//! ```
//!
//! # What is done on the way back, and why
//!
//! In this order. *Same domain* is a suspend that failed or was cancelled; doing there what a
//! restore needs is not harmless: Xen answers `EBUSY` or `EEXIST`, and a second event channel for
//! the same use leaks the first.
//!
//! | step | same domain | restored | why |
//! |---|---|---|---|
//! | `reattach`: `HVM_PARAM_CALLBACK_IRQ` | – | PVH: set it, to 1 if nothing else is wanted | any value but 0 is what lets the toolstack tell the *next* cancelled suspend from a restore (`modify_returncode`, `xg_resume.c`): without it a guest that was checkpointed sets up a new domain's things in the old one. And a new domain starts as 64-bit; Xen latches the layout of `shared_info` from the mode of the vCPU that makes this call (`hvm_latch_shinfo_size`, `hvm.c`), which matters to a 32-bit guest |
//! | `reattach`: `shared_info` | PVH: –; PV: map again what `detach` unmapped | map again (PVH: `XENMAPSPACE_shared_info`; PV: the address in `start_info`) | the page belongs to Xen and is not in the stream. A PVH guest leaves it mapped; the new domain has a hole there, which reads as all ones |
//! | `reattach`: `start_info`, PV | convert the PFNs that `detach` wrote back to MFNs | – | the restore writes MFNs (`process_start_info`, `xg_sr_restore_x86_pv.c:133`), a cancel writes nothing |
//! | `reattach`: p2m, PV | – | rewrite `p2m_cr3`; forget cached machine frames | the restore copies `arch` verbatim and zeroes only `pfn_to_mfn_frame_list_list` (`handle_shared_info`, `xg_sr_restore_x86_pv.c`) |
//! | participants, `Alone`: `vcpu_info` of this vCPU | – | `VCPUOP_register_vcpu_info` | not carried; a second registration is refused with `EBUSY` (4.17: `EINVAL`) (`map_guest_area`, `xen/common/domain.c`) |
//! | participants, `Alone`: clock | go on where it stopped | the same, with another offset | Xen's system time is that of the new host and may be earlier, so the clock stands still across the call ([`Clock::now`]). It is read from the shared-info page, and all others may need it: give it the highest order |
//! | participants, `Alone`: event channels, IPIs, VIRQs | arm the timer of this vCPU | bind anew, arm | a new domain has none; PV's masks are all ones (`handle_shared_info`). Before any cross-call |
//! | participants, `Alone`: upcall vectors | – | PVH: `HVMOP_set_evtchn_upcall_vector` | not carried |
//! | participants, `Alone`: grant table | – | set the version, map the frames | neither is carried |
//! | participants, `Alone`: rings of console and xenstore | – | forget ring indices, new port | PVH: the pages are cleared (`xg_sr_restore_x86_hvm.c:62`) |
//! | `relink_windows`, PV | link | link | the entries were taken out so that Xen could type the pages in any order |
//! | the proof is dropped | the pool opens | the pool opens | the new domain's vCPUs must find it open |
//! | `unpark` | go on | each vCPU registers its own `vcpu_info`, vector, timer, then goes on | until 4.18 only the vCPU itself can |
//! | participants, `Awake`: xenstore | – | reset watches outside a transaction, set them again | the daemon knows nothing of a new domain; the reset must not be sent inside a transaction (XSA-484). Give it a higher order than the frontends, so that it comes back before them |
//! | participants, `Awake`: frontends | wake up | begin to connect anew | the backends are new ones |
//! | participants, `Awake`: `is_back` | – | until each is connected or its time is over | all wait at the same time, so one that does not come back holds no other |
//! | `release_hotplug` | – | offline vCPUs are uninitialised ([`hotplug::Cpus::returned`]) | they have no record in the stream (`hvm_save_cpu_ctxt`, `hvm.c:856`); in the same domain `VCPUOP_initialise` says `EEXIST` |
//! | participants, `Requested` | as before | as before | |
//! | `reread` | read `control/shutdown`, `cpu/*/availability` | the same | what was written while the guest was suspending is seen here or never |
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod audit;
pub mod availability;
pub mod balloon;
mod failure;
pub mod hotplug;
mod limits;
pub mod machine;
mod outcome;
mod participant;
mod party;
mod phase;
mod platform;
pub mod shutdown;
pub mod standing;
mod text;
pub mod xenstore;

pub use failure::{Blame, Blamed, Cause, Fault, Faults, SuspendFailed};
pub use limits::{Deadline, Late, Limits, LIBXL_ACKNOWLEDGE_WINDOW, LIBXL_SUSPEND_WINDOW};
pub use machine::{Machine, Resumed};
pub use outcome::{Incarnation, Outcome, Return};
pub use participant::{Member, Participant, Role, Stage};
pub use party::Party;
pub use phase::{Clock, Phase, Timeline};
pub use platform::Platform;
pub use text::Text;

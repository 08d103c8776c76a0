//! The tables that C fills in, and the plain structures that it reads.

use core::ffi::{c_char, c_void};

/// Interrupts are off on this CPU and stay off for the whole call.
pub const XGL_INTERRUPTS_OFF: u32 = 1;
/// The pool's spin locks may be taken: not in an NMI, nor while the kernel holds a lock that an NMI
/// handler may want.
pub const XGL_MAY_LOCK: u32 = 2;
/// It may be waited for other CPUs.
pub const XGL_MAY_WAIT: u32 = 4;

/// Where a call comes from. `xgl_pool_ops.here` fills it in.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_here {
    /// This CPU's number, from 0, below `xgl_pool_cpus()`. No two CPUs have one number.
    pub cpu: u32,
    /// XGL_INTERRUPTS_OFF, XGL_MAY_LOCK, XGL_MAY_WAIT. To be read from the machine (EFLAGS.IF, or
    /// under PV `evtchn_upcall_mask`), not assumed: a call with interrupts on is refused.
    pub flags: u32,
}

/// What a batch cost, for the statistics.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_spent {
    /// Hypercalls made.
    pub hypercalls: u32,
    /// TLB flushes made.
    pub tlb_flushes: u32,
}

/// What the pool asks of the kernel. The table and what `ctx` points to must stay where they are and
/// unchanged as long as the pool is used. The functions are called on any CPU, on several at once, and
/// with interrupts off; `construct`, `destruct`, `set_next`, `next` and `mark` must not call the pool
/// (XGL_REENTERED).
///
/// A set is a number of the kernel's: an address, a frame number, an index. 0 is no set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xgl_pool_ops {
    /// Given to each function.
    pub ctx: *mut c_void,
    /// Says where the call comes from. Called first in every call of the pool, from an NMI too.
    pub here: Option<extern "C" fn(ctx: *mut c_void, here: *mut xgl_here)>,
    /// Constructs `count` sets (1 to 15) into `sets`, all or none: zeroed, kernel entries, window, read-only,
    /// pinned, with one multi-operation hypercall if it can. Returns 0, or a number that is not 0 after
    /// taking apart what it had made. If that fails too, the first `*stuck` places hold sets that it
    /// could not take apart; they go into quarantine.
    pub construct: Option<
        extern "C" fn(
            ctx: *mut c_void,
            sets: *mut usize,
            count: usize,
            spent: *mut xgl_spent,
            stuck: *mut usize,
        ) -> i32,
    >,
    /// Destructs `count` sets (1 to 64), in order. Returns 0; or a number that is not 0, with the place
    /// of the set that failed in `*at`: those before it are gone, those after it were not touched.
    pub destruct: Option<
        extern "C" fn(
            ctx: *mut c_void,
            sets: *const usize,
            count: usize,
            spent: *mut xgl_spent,
            at: *mut usize,
        ) -> i32,
    >,
    /// Stores a set, or 0, in a word of metadata of `set`'s frames. Only sets that are not in use are
    /// linked.
    pub set_next: Option<extern "C" fn(ctx: *mut c_void, set: usize, next: usize)>,
    /// What `set_next` stored.
    pub next: Option<extern "C" fn(ctx: *mut c_void, set: usize) -> usize>,
    /// May be null. The address of a word of metadata of `set`'s frames that is the pool's, 0 when the
    /// frames first come to it, valid as long as the pool is; null if there is none. A library built with
    /// `checks` finds double and foreign puts with it.
    pub mark: Option<extern "C" fn(ctx: *mut c_void, set: usize) -> *mut u32>,
    /// May be null where every CPU has a tick. Makes `cpu` pass a quiescent state soon: sends an
    /// interrupt.
    pub kick: Option<extern "C" fn(ctx: *mut c_void, cpu: u32)>,
    /// Called again and again while `cpu` is waited for: a pause, or interrupts on for a moment. Not 0: go
    /// on waiting; 0: give up now, before the deadline.
    pub relax: Option<extern "C" fn(ctx: *mut c_void, cpu: u32) -> i32>,
    /// A clock in nanoseconds that never goes back and can be read in every phase of a suspend; between
    /// `detach` and `reattach` it stands still.
    pub now_ns: Option<extern "C" fn(ctx: *mut c_void) -> u64>,
}

/// A set that was handed out. Written by the library alone; may be moved, not used twice: a call that takes
/// the set empties the place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xgl_set {
    /// The set, as `construct` gave it; 0 if there is none.
    pub set: usize,
    /// The pool's: of which generation and pool.
    pub token: u64,
}

/// What happened to a CPU's sets when it went offline.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_left {
    /// Sets that its cache held, destructed.
    pub drained: usize,
    /// Sets still in its cache, for the drain that is under way.
    pub cached: usize,
    /// Deferred frees that it handed to the CPUs that stay.
    pub deferred: usize,
}

/// One step of `xgl_pool_shrink`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_shrunk {
    /// Sets destructed, 64 at most.
    pub destructed: usize,
    /// Sets still in the depot.
    pub depot: usize,
}

/// What `xgl_pool_reclaim` brought back.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_reclaimed {
    /// Sets that went to the depot, where every CPU finds them.
    pub to_depot: usize,
    /// Sets destructed.
    pub destructed: usize,
}

/// What a drain did.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_drain_report {
    /// Sets taken from CPUs' caches.
    pub cached: usize,
    /// Sets taken from the depot.
    pub depot: usize,
    /// Deferred frees that were finished.
    pub deferred: usize,
    /// Calls of `destruct`.
    pub backend_calls: usize,
    /// Hypercalls that `destruct` said it had made.
    pub hypercalls: usize,
    /// TLB flushes that it said it had made.
    pub tlb_flushes: usize,
    /// Sets handed out at this moment.
    pub in_use: usize,
    /// How long it took, in nanoseconds of the kernel's clock.
    pub ns: u64,
}

/// One CPU's figures since the pool was initialised. The counters wrap.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_cpu_stats {
    /// Not 0: neither idle, parked nor offline.
    pub running: usize,
    /// Gets served from this CPU's cache.
    pub hits: usize,
    /// Gets that went to the depot or to `construct`.
    pub misses: usize,
    /// Sets constructed.
    pub constructed: usize,
    /// Sets destructed.
    pub destructed: usize,
    /// Sets in the cache now.
    pub cached: usize,
    /// Frees deferred.
    pub deferred: usize,
    /// Sets of an old generation found and destructed.
    pub stale_refused: usize,
    /// Calls of `construct` and `destruct` that failed.
    pub failed: usize,
    /// Operations refused.
    pub refused: usize,
    /// Calls of `construct` and `destruct`.
    pub backend_calls: usize,
    /// Hypercalls that they said they had made.
    pub hypercalls: usize,
    /// TLB flushes that they said they had made.
    pub tlb_flushes: usize,
}

/// The pool's figures.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_stats {
    /// The sums over all CPUs.
    pub total: xgl_cpu_stats,
    /// Sets in the depot.
    pub depot: usize,
    /// The most that it has held.
    pub depot_peak: usize,
    /// Sets handed out.
    pub in_use: usize,
    /// Deferred frees that wait.
    pub in_flight: usize,
    /// Deferred frees that found their CPU's array full.
    pub deferred_overflow: usize,
    /// Sets in quarantine.
    pub quarantined: usize,
    /// Drains that gave a proof.
    pub drains: usize,
    /// The longest, in nanoseconds.
    pub longest_drain_ns: usize,
    /// The construction generation.
    pub generation: usize,
}

/// A function that a drain calls while its proof is good. What it returns, the drain's caller gets.
pub type xgl_under_proof =
    Option<extern "C" fn(arg: *mut c_void, proof: *const crate::proof::xgl_proof) -> i32>;

/// Takes a log line: its level (1 error, 2 warning, 3 information, 4 debugging, 5 tracing), its text with a NUL at
/// the end, and its length without it.
pub type xgl_line_hook = Option<extern "C" fn(level: u32, text: *const c_char, len: usize)>;

/// Takes a panic's message, with a NUL at the end, and its length without it.
pub type xgl_panic_hook = Option<extern "C" fn(text: *const c_char, len: usize)>;

/// xenstored answered ENOENT.
pub const XGL_STORE_NOT_FOUND: i32 = 1;
/// EAGAIN: the transaction conflicted.
pub const XGL_STORE_AGAIN: i32 = 2;
/// EACCES or EPERM.
pub const XGL_STORE_DENIED: i32 = 3;
/// EEXIST.
pub const XGL_STORE_EXISTS: i32 = 4;
/// EQUOTA, ENOSPC or E2BIG.
pub const XGL_STORE_QUOTA: i32 = 5;
/// No answer in time.
pub const XGL_STORE_TIMED_OUT: i32 = 6;
/// Anything else.
pub const XGL_STORE_OTHER: i32 = 7;

/// The kernel's xenstore client. Each function returns 0 or one of XGL_STORE_...; it may sleep, and must not
/// wait for ever. Paths are relative to the domain's own directory. `tx` is 0 outside of a transaction.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xgl_store {
    /// Given to each function.
    pub ctx: *mut c_void,
    /// Reads a node: at most `size` bytes of its value into `value`, and the value's full length into `*len`.
    pub read: Option<
        extern "C" fn(
            ctx: *mut c_void,
            tx: u32,
            path: *const c_char,
            value: *mut u8,
            size: usize,
            len: *mut usize,
        ) -> i32,
    >,
    /// Writes a node, and makes it if need be. The value has no NUL.
    pub write: Option<
        extern "C" fn(
            ctx: *mut c_void,
            tx: u32,
            path: *const c_char,
            value: *const u8,
            len: usize,
        ) -> i32,
    >,
    /// Opens a transaction; its number, not 0, goes to `*tx`.
    pub transaction_start: Option<extern "C" fn(ctx: *mut c_void, tx: *mut u32) -> i32>,
    /// Commits it (`commit` is not 0) or drops it. It is over afterwards.
    pub transaction_end: Option<extern "C" fn(ctx: *mut c_void, tx: u32, commit: i32) -> i32>,
    /// Sets a watch.
    pub watch:
        Option<extern "C" fn(ctx: *mut c_void, path: *const c_char, token: *const c_char) -> i32>,
}

/// How the guest comes back: the call was not made or was refused. Undo what was done.
pub const XGL_BACK_FAILED: u32 = 0;
/// The call came back into the same domain. Undo what was done.
pub const XGL_BACK_CANCELLED: u32 = 1;
/// This is a new domain: set up again what Xen does not carry over.
pub const XGL_BACK_RESTORED: u32 = 2;

/// The request was seen and is not answered yet; every CPU runs.
pub const XGL_STAGE_REQUESTED: u32 = 0;
/// The request is answered; every CPU runs and code may sleep: frontends.
pub const XGL_STAGE_AWAKE: u32 = 1;
/// This is the only CPU that runs, interrupts are off: clock, event channels, grant table, rings.
pub const XGL_STAGE_ALONE: u32 = 2;

/// The steps of a suspend, in the order in which they are made on the way down; the way back is the reverse.
/// Each returns 0; a positive number, which names the kernel as the party at fault; or a negative one,
/// which is what a hypercall returned and names Xen. **A step that fails leaves things as it found them**: its
/// undo is called only after it succeeded. A function that may be null does nothing then.
///
/// All run on the CPU that called `xgl_suspend`. Deadlines are on the clock of the pool's table.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct xgl_suspend_ops {
    /// Given to each function.
    pub ctx: *mut c_void,
    /// May be null. A phase was entered, `since_ns` after the request: its name, in small letters.
    pub entered: Option<extern "C" fn(ctx: *mut c_void, phase: *const c_char, since_ns: u64)>,
    /// May be null. Makes the kernel's devices of a stage quiet. Called for each of XGL_STAGE_..., in that order.
    pub quiet: Option<extern "C" fn(ctx: *mut c_void, stage: u32, deadline_ns: u64) -> i32>,
    /// May be null. Brings the devices of a stage back, or begins to; `how` is XGL_BACK_....
    pub wake: Option<extern "C" fn(ctx: *mut c_void, stage: u32, how: u32) -> i32>,
    /// May be null. Waits for the CPU hotplug under way, and lets none begin.
    pub hold_hotplug: Option<extern "C" fn(ctx: *mut c_void, deadline_ns: u64) -> i32>,
    /// May be null. Lets it go on. After a restore offline CPUs are uninitialised.
    pub release_hotplug: Option<extern "C" fn(ctx: *mut c_void, how: u32)>,
    /// May be null on one CPU, if interrupts are off when `xgl_suspend` is called. Brings every other CPU
    /// out of the kernel's code (`xgl_pool_idle_enter` on each), interrupts off, and turns them off here.
    pub park: Option<extern "C" fn(ctx: *mut c_void, deadline_ns: u64) -> i32>,
    /// May be null. Lets them go on and turns interrupts on. After a restore each CPU first registers what
    /// Xen keeps for a vCPU.
    pub unpark: Option<extern "C" fn(ctx: *mut c_void, how: u32, deadline_ns: u64) -> i32>,
    /// May be null. PV: takes the recursive entries out of every live set. The pool is drained.
    pub unlink_windows:
        Option<extern "C" fn(ctx: *mut c_void, proof: *const crate::proof::xgl_proof) -> i32>,
    /// May be null. PV: puts them back.
    pub relink_windows: Option<
        extern "C" fn(ctx: *mut c_void, proof: *const crate::proof::xgl_proof, how: u32) -> i32,
    >,
    /// Looks at every page table that Xen will look at, and fails on what would be lost.
    pub audit: Option<
        extern "C" fn(
            ctx: *mut c_void,
            proof: *const crate::proof::xgl_proof,
            deadline_ns: u64,
        ) -> i32,
    >,
    /// May be null: PVH. PV: unmaps the shared-info page and converts the MFNs in `start_info`.
    pub detach: Option<
        extern "C" fn(
            ctx: *mut c_void,
            proof: *const crate::proof::xgl_proof,
            deadline_ns: u64,
        ) -> i32,
    >,
    /// May be null. Takes `detach` back, or sets up a new domain: callback parameter (PVH), shared info, p2m (PV).
    pub reattach: Option<extern "C" fn(ctx: *mut c_void, how: u32) -> i32>,
    /// Makes the call, `HYPERVISOR_sched_op(SCHEDOP_shutdown, SHUTDOWN_suspend)`, under PV with
    /// `start_info`'s frame number as its third argument, and returns what it returned. The pool is drained
    /// and stays so until this has returned: ask `xgl_proof_recheck`, if you like.
    pub suspend:
        Option<extern "C" fn(ctx: *mut c_void, proof: *const crate::proof::xgl_proof) -> i64>,
    /// May be null: PV. PVH: CPUID's incarnation number (leaf base+3, subleaf 0, EDX), asked right before and
    /// right after the call; returns 0, or not 0 if it cannot be read.
    pub incarnation: Option<extern "C" fn(ctx: *mut c_void, number: *mut u32) -> i32>,
    /// May be null. `reattach` or a device of XGL_STAGE_ALONE did not come back: the kernel may end the domain
    /// as crashed here. If this returns, the way back goes on.
    pub lost: Option<extern "C" fn(ctx: *mut c_void, step: *const c_char, number: i32)>,
    /// Reads `control/shutdown` and `cpu/N/availability` again; after a restore sets the watches first and
    /// calls `xgl_shutdown_advertise`. What was asked meanwhile is seen here or never.
    pub reread: Option<extern "C" fn(ctx: *mut c_void, how: u32) -> i32>,
}

/// How long each step may take, in nanoseconds. `xgl_limits_default` fills it in.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct xgl_limits {
    /// From the request to the answer; below 60 s.
    pub acknowledge_ns: u64,
    /// Hotplug in flight, devices and parking, together.
    pub quiesce_ns: u64,
    /// The drain.
    pub drain_ns: u64,
    /// The audit.
    pub audit_ns: u64,
    /// Taking down clocks and shared pages.
    pub detach_ns: u64,
    /// From the answer to the call; below 60 s.
    pub until_suspended_ns: u64,
    /// Waking the other CPUs.
    pub unpark_ns: u64,
    /// Tries of a xenstore transaction; at least 1.
    pub transaction_tries: u32,
}

/// The guest.
pub const XGL_PARTY_GUEST: u32 = 0;
/// The hypervisor.
pub const XGL_PARTY_XEN: u32 = 1;
/// xenstored, libxl, or whoever drives them.
pub const XGL_PARTY_TOOLSTACK: u32 = 2;

/// What a suspend came to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct xgl_suspended {
    /// XGL_BACK_....
    pub how: u32,
    /// What did not come back on the way up: each was logged, the first is in `step`, `number`, `message`.
    pub faults: u32,
    /// XGL_PARTY_..., of the failure or of the first fault.
    pub party: u32,
    /// What the kernel's function returned, if it was one that failed.
    pub number: i32,
    /// The step that failed; empty if none did.
    pub step: [c_char; 32],
    /// What went wrong, in words.
    pub message: [c_char; 160],
}

/// Obeys `poweroff`.
pub const XGL_ACCEPT_POWEROFF: u32 = 1;
/// Obeys `halt`.
pub const XGL_ACCEPT_HALT: u32 = 2;
/// Obeys `reboot`.
pub const XGL_ACCEPT_REBOOT: u32 = 4;
/// Obeys `suspend`.
pub const XGL_ACCEPT_SUSPEND: u32 = 8;
/// Obeys `crash`.
pub const XGL_ACCEPT_CRASH: u32 = 16;

/// Nothing was asked.
pub const XGL_REQUEST_NOTHING: u32 = 0;
/// `poweroff`.
pub const XGL_REQUEST_POWEROFF: u32 = 1;
/// `halt`.
pub const XGL_REQUEST_HALT: u32 = 2;
/// `reboot`.
pub const XGL_REQUEST_REBOOT: u32 = 3;
/// `suspend`.
pub const XGL_REQUEST_SUSPEND: u32 = 4;
/// `crash`.
pub const XGL_REQUEST_CRASH: u32 = 5;
/// A word that nobody knows.
pub const XGL_REQUEST_UNKNOWN: u32 = 6;

/// Do nothing.
pub const XGL_ANSWER_NOTHING: u32 = 0;
/// Do it. It is acknowledged already; a suspend is acknowledged by `xgl_suspend`.
pub const XGL_ANSWER_OBEY: u32 = 1;
/// Do not do it. The node was left as it is.
pub const XGL_ANSWER_REFUSE: u32 = 2;
/// Ask again when the suspend is over. The node was left as it is.
pub const XGL_ANSWER_DEFER: u32 = 3;

/// Nothing stands in the way of a request.
pub const XGL_ACTIVITY_RUNNING: u32 = 0;
/// The kernel suspends.
pub const XGL_ACTIVITY_SUSPENDING: u32 = 1;
/// The kernel is about to power off or reboot.
pub const XGL_ACTIVITY_GOING_DOWN: u32 = 2;

/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The page-table pool and the suspend machine for a kernel in C. Made by cbindgen from migration/c/src; do not
 * edit. docs/from-c.md says how to link it and what it replaces in NetBSD and mini-os.
 *
 * Of every function: a pointer is null, where that is allowed, or to a valid object of its type that nobody else
 * changes during the call; a null that is not allowed gives XGL_NULL. The functions in tables behave as is said
 * here. A struct xgl_set was filled in by the library and is not copied to be used twice. "What was refused" is one
 * of XGL_NULL to XGL_NO_SET and XGL_CLOSED to XGL_WRONG_CONTEXT; nothing was done then.
 */

#ifndef XEN_GUEST_H
#define XEN_GUEST_H

#include <stddef.h>
#include <stdint.h>

/*
 Interrupts are off on this CPU and stay off for the whole call.
 */
#define XGL_INTERRUPTS_OFF 1

/*
 The pool's spin locks may be taken: not in an NMI, nor while the kernel holds a lock that an NMI
 handler may want.
 */
#define XGL_MAY_LOCK 2

/*
 It may be waited for other CPUs.
 */
#define XGL_MAY_WAIT 4

/*
 xenstored answered ENOENT.
 */
#define XGL_STORE_NOT_FOUND 1

/*
 EAGAIN: the transaction conflicted.
 */
#define XGL_STORE_AGAIN 2

/*
 EACCES or EPERM.
 */
#define XGL_STORE_DENIED 3

/*
 EEXIST.
 */
#define XGL_STORE_EXISTS 4

/*
 EQUOTA, ENOSPC or E2BIG.
 */
#define XGL_STORE_QUOTA 5

/*
 No answer in time.
 */
#define XGL_STORE_TIMED_OUT 6

/*
 Anything else.
 */
#define XGL_STORE_OTHER 7

/*
 How the guest comes back: the call was not made or was refused. Undo what was done.
 */
#define XGL_BACK_FAILED 0

/*
 The call came back into the same domain. Undo what was done.
 */
#define XGL_BACK_CANCELLED 1

/*
 This is a new domain: set up again what Xen does not carry over.
 */
#define XGL_BACK_RESTORED 2

/*
 The request was seen and is not answered yet; every CPU runs.
 */
#define XGL_STAGE_REQUESTED 0

/*
 The request is answered; every CPU runs and code may sleep: frontends.
 */
#define XGL_STAGE_AWAKE 1

/*
 This is the only CPU that runs, interrupts are off: clock, event channels, grant table, rings.
 */
#define XGL_STAGE_ALONE 2

/*
 The guest.
 */
#define XGL_PARTY_GUEST 0

/*
 The hypervisor.
 */
#define XGL_PARTY_XEN 1

/*
 xenstored, libxl, or whoever drives them.
 */
#define XGL_PARTY_TOOLSTACK 2

/*
 Obeys `poweroff`.
 */
#define XGL_ACCEPT_POWEROFF 1

/*
 Obeys `halt`.
 */
#define XGL_ACCEPT_HALT 2

/*
 Obeys `reboot`.
 */
#define XGL_ACCEPT_REBOOT 4

/*
 Obeys `suspend`.
 */
#define XGL_ACCEPT_SUSPEND 8

/*
 Obeys `crash`.
 */
#define XGL_ACCEPT_CRASH 16

/*
 Nothing was asked.
 */
#define XGL_REQUEST_NOTHING 0

/*
 `poweroff`.
 */
#define XGL_REQUEST_POWEROFF 1

/*
 `halt`.
 */
#define XGL_REQUEST_HALT 2

/*
 `reboot`.
 */
#define XGL_REQUEST_REBOOT 3

/*
 `suspend`.
 */
#define XGL_REQUEST_SUSPEND 4

/*
 `crash`.
 */
#define XGL_REQUEST_CRASH 5

/*
 A word that nobody knows.
 */
#define XGL_REQUEST_UNKNOWN 6

/*
 Do nothing.
 */
#define XGL_ANSWER_NOTHING 0

/*
 Do it. It is acknowledged already; a suspend is acknowledged by `xgl_suspend`.
 */
#define XGL_ANSWER_OBEY 1

/*
 Do not do it. The node was left as it is.
 */
#define XGL_ANSWER_REFUSE 2

/*
 Ask again when the suspend is over. The node was left as it is.
 */
#define XGL_ANSWER_DEFER 3

/*
 Nothing stands in the way of a request.
 */
#define XGL_ACTIVITY_RUNNING 0

/*
 The kernel suspends.
 */
#define XGL_ACTIVITY_SUSPENDING 1

/*
 The kernel is about to power off or reboot.
 */
#define XGL_ACTIVITY_GOING_DOWN 2

/*
 What a call gives back. `xgl_error_text` has a sentence for each, which names the party at fault.
 */
enum xgl_error {
    /*
     Done.
     */
    XGL_OK = 0,
    /*
     A pointer that must not be null is.
     */
    XGL_NULL = 1,
    /*
     The storage is too small or not aligned.
     */
    XGL_BAD_STORAGE = 2,
    /*
     The pointer is to no pool that was initialised.
     */
    XGL_NOT_A_POOL = 3,
    /*
     A function that the table must have is missing.
     */
    XGL_BAD_TABLE = 4,
    /*
     The hook is set already.
     */
    XGL_ALREADY = 5,
    /*
     The kernel called with interrupts on.
     */
    XGL_INTERRUPTS_ON = 6,
    /*
     The kernel gave a `struct xgl_set` that holds no set: it was put already, or never got.
     */
    XGL_NO_SET = 7,
    /*
     The kernel used a proof after its function had returned, or on another CPU.
     */
    XGL_PROOF_OVER = 8,
    /*
     A number that means nothing here.
     */
    XGL_BAD_NUMBER = 9,
    /*
     The pool's gate is closed: a drain is under way. It will open again.
     */
    XGL_CLOSED = 20,
    /*
     The pool is closed for good.
     */
    XGL_CLOSED_FOR_GOOD = 21,
    /*
     The kernel's CPU number is not below `xgl_pool_cpus`.
     */
    XGL_NO_SUCH_CPU = 22,
    /*
     The kernel used the pool on a CPU that is idle or offline, and had said so.
     */
    XGL_NOT_ONLINE = 23,
    /*
     An operation of the pool on this CPU is under way: this is an NMI, or a call from inside a
     function of the pool's table.
     */
    XGL_REENTERED = 24,
    /*
     The kernel's context may not take locks, or may not wait, and the call must.
     */
    XGL_WRONG_CONTEXT = 25,
    /*
     The set cannot be cached on this CPU now: `xgl_pool_put` can deal with it.
     */
    XGL_NEEDS_MORE = 26,
    /*
     Another drain, invalidation or barrier did not end before the deadline.
     */
    XGL_BUSY = 27,
    /*
     The kernel could not construct a set; `detail.number` says why.
     */
    XGL_CONSTRUCT = 28,
    /*
     As XGL_CONSTRUCT, while `detail.count` sets lie idle on other CPUs: `xgl_pool_reclaim`.
     */
    XGL_HOARDED = 29,
    /*
     The kernel wrote to a set while it was free. It is in quarantine.
     */
    XGL_WRITE_AFTER_FREE = 30,
    /*
     The kernel put a set that is not this pool's.
     */
    XGL_FOREIGN = 31,
    /*
     The kernel put a set twice.
     */
    XGL_DOUBLE_PUT = 32,
    /*
     The kernel could not destruct `detail.set`; `detail.number` says why. It is in quarantine.
     */
    XGL_QUARANTINED = 33,
    /*
     As XGL_QUARANTINED, but the gate is closed, and the set is still the caller's.
     */
    XGL_NOT_DESTRUCTED = 34,
    /*
     CPU `detail.cpu` passed no quiescent state before the deadline.
     */
    XGL_TIMEOUT = 35,
    /*
     The pool's mistake: its own check found `detail.count` sets after a drain.
     */
    XGL_NOT_EMPTY = 36,
    /*
     There is nothing to take: `xgl_pool_try_get` found this CPU's cache empty.
     */
    XGL_NONE = 37,
    /*
     The toolstack took its request back before it was acknowledged: nobody waits for a suspend.
     */
    XGL_WITHDRAWN = 50,
    /*
     A step took longer than its limit.
     */
    XGL_LATE = 51,
    /*
     The limits do not fit into libxl's windows of 60 s.
     */
    XGL_LIMITS = 52,
    /*
     xenstore did not do what was asked; `detail.number` is the store's error number.
     */
    XGL_STORE = 53,
    /*
     A function of the suspend's table failed; `number` is what it returned.
     */
    XGL_STEP = 54,
};

/*
 The pool, as it lies in the kernel's storage.
 */
struct xgl_pool;

/*
 Stands for the proof that the pool is empty and stays so, in the function that it is given to. It is a
 number and points to nothing: what is done with it later gives XGL_PROOF_OVER.
 */
struct xgl_proof;

/*
 Takes a log line: its level (1 error, 2 warning, 3 information, 4 debugging, 5 tracing), its text with a NUL at
 the end, and its length without it.
 */
typedef void (*xgl_line_hook)(uint32_t level, const char *text, size_t len);

/*
 Takes a panic's message, with a NUL at the end, and its length without it.
 */
typedef void (*xgl_panic_hook)(const char *text, size_t len);

/*
 Where a call comes from. `xgl_pool_ops.here` fills it in.
 */
struct xgl_here {
    /*
     This CPU's number, from 0, below `xgl_pool_cpus()`. No two CPUs have one number.
     */
    uint32_t cpu;
    /*
     XGL_INTERRUPTS_OFF, XGL_MAY_LOCK, XGL_MAY_WAIT. To be read from the machine (EFLAGS.IF, or
     under PV `evtchn_upcall_mask`), not assumed: a call with interrupts on is refused.
     */
    uint32_t flags;
};

/*
 What a batch cost, for the statistics.
 */
struct xgl_spent {
    /*
     Hypercalls made.
     */
    uint32_t hypercalls;
    /*
     TLB flushes made.
     */
    uint32_t tlb_flushes;
};

/*
 What the pool asks of the kernel. The table and what `ctx` points to must stay where they are and
 unchanged as long as the pool is used. The functions are called on any CPU, on several at once, and
 with interrupts off; `construct`, `destruct`, `set_next`, `next` and `mark` must not call the pool
 (XGL_REENTERED).

 A set is a number of the kernel's: an address, a frame number, an index. 0 is no set.
 */
struct xgl_pool_ops {
    /*
     Given to each function.
     */
    void *ctx;
    /*
     Says where the call comes from. Called first in every call of the pool, from an NMI too.
     */
    void (*here)(void *ctx, struct xgl_here *here);
    /*
     Constructs `count` sets (1 to 15) into `sets`, all or none: zeroed, kernel entries, window, read-only,
     pinned, with one multi-operation hypercall if it can. Returns 0, or a number that is not 0 after
     taking apart what it had made. If that fails too, the first `*stuck` places hold sets that it
     could not take apart; they go into quarantine.
     */
    int32_t (*construct)(void *ctx, size_t *sets, size_t count, struct xgl_spent *spent, size_t *stuck);
    /*
     Destructs `count` sets (1 to 64), in order. Returns 0; or a number that is not 0, with the place
     of the set that failed in `*at`: those before it are gone, those after it were not touched.
     */
    int32_t (*destruct)(void *ctx, const size_t *sets, size_t count, struct xgl_spent *spent, size_t *at);
    /*
     Stores a set, or 0, in a word of metadata of `set`'s frames. Only sets that are not in use are
     linked.
     */
    void (*set_next)(void *ctx, size_t set, size_t next);
    /*
     What `set_next` stored.
     */
    size_t (*next)(void *ctx, size_t set);
    /*
     May be null. The address of a word of metadata of `set`'s frames that is the pool's, 0 when the
     frames first come to it, valid as long as the pool is; null if there is none. A library built with
     `checks` finds double and foreign puts with it.
     */
    uint32_t *(*mark)(void *ctx, size_t set);
    /*
     May be null where every CPU has a tick. Makes `cpu` pass a quiescent state soon: sends an
     interrupt.
     */
    void (*kick)(void *ctx, uint32_t cpu);
    /*
     Called again and again while `cpu` is waited for: a pause, or interrupts on for a moment. Not 0: go
     on waiting; 0: give up now, before the deadline.
     */
    int32_t (*relax)(void *ctx, uint32_t cpu);
    /*
     A clock in nanoseconds that never goes back and can be read in every phase of a suspend; between
     `detach` and `reattach` it stands still.
     */
    uint64_t (*now_ns)(void *ctx);
};

/*
 A set that was handed out. Written by the library alone; may be moved, not used twice: a call that takes
 the set empties the place.
 */
struct xgl_set {
    /*
     The set, as `construct` gave it; 0 if there is none.
     */
    size_t set;
    /*
     The pool's: of which generation and pool.
     */
    uint64_t token;
};

/*
 What an error number is about, beside its text. What does not apply is 0.
 */
struct xgl_detail {
    /*
     The CPU that is late, or whose number is too high.
     */
    uint32_t cpu;
    /*
     What the kernel's own function returned.
     */
    int32_t number;
    /*
     The set that it is about.
     */
    size_t set;
    /*
     How many sets it is about; in a trim, how many others were destructed.
     */
    size_t count;
};

/*
 What happened to a CPU's sets when it went offline.
 */
struct xgl_left {
    /*
     Sets that its cache held, destructed.
     */
    size_t drained;
    /*
     Sets still in its cache, for the drain that is under way.
     */
    size_t cached;
    /*
     Deferred frees that it handed to the CPUs that stay.
     */
    size_t deferred;
};

/*
 One step of `xgl_pool_shrink`.
 */
struct xgl_shrunk {
    /*
     Sets destructed, 64 at most.
     */
    size_t destructed;
    /*
     Sets still in the depot.
     */
    size_t depot;
};

/*
 One CPU's figures since the pool was initialised. The counters wrap.
 */
struct xgl_cpu_stats {
    /*
     Not 0: neither idle, parked nor offline.
     */
    size_t running;
    /*
     Gets served from this CPU's cache.
     */
    size_t hits;
    /*
     Gets that went to the depot or to `construct`.
     */
    size_t misses;
    /*
     Sets constructed.
     */
    size_t constructed;
    /*
     Sets destructed.
     */
    size_t destructed;
    /*
     Sets in the cache now.
     */
    size_t cached;
    /*
     Frees deferred.
     */
    size_t deferred;
    /*
     Sets of an old generation found and destructed.
     */
    size_t stale_refused;
    /*
     Calls of `construct` and `destruct` that failed.
     */
    size_t failed;
    /*
     Operations refused.
     */
    size_t refused;
    /*
     Calls of `construct` and `destruct`.
     */
    size_t backend_calls;
    /*
     Hypercalls that they said they had made.
     */
    size_t hypercalls;
    /*
     TLB flushes that they said they had made.
     */
    size_t tlb_flushes;
};

/*
 The pool's figures.
 */
struct xgl_stats {
    /*
     The sums over all CPUs.
     */
    struct xgl_cpu_stats total;
    /*
     Sets in the depot.
     */
    size_t depot;
    /*
     The most that it has held.
     */
    size_t depot_peak;
    /*
     Sets handed out.
     */
    size_t in_use;
    /*
     Deferred frees that wait.
     */
    size_t in_flight;
    /*
     Deferred frees that found their CPU's array full.
     */
    size_t deferred_overflow;
    /*
     Sets in quarantine.
     */
    size_t quarantined;
    /*
     Drains that gave a proof.
     */
    size_t drains;
    /*
     The longest, in nanoseconds.
     */
    size_t longest_drain_ns;
    /*
     The construction generation.
     */
    size_t generation;
};

/*
 What a drain did.
 */
struct xgl_drain_report {
    /*
     Sets taken from CPUs' caches.
     */
    size_t cached;
    /*
     Sets taken from the depot.
     */
    size_t depot;
    /*
     Deferred frees that were finished.
     */
    size_t deferred;
    /*
     Calls of `destruct`.
     */
    size_t backend_calls;
    /*
     Hypercalls that `destruct` said it had made.
     */
    size_t hypercalls;
    /*
     TLB flushes that it said it had made.
     */
    size_t tlb_flushes;
    /*
     Sets handed out at this moment.
     */
    size_t in_use;
    /*
     How long it took, in nanoseconds of the kernel's clock.
     */
    uint64_t ns;
};

/*
 The kernel's xenstore client. Each function returns 0 or one of XGL_STORE_...; it may sleep, and must not
 wait for ever. Paths are relative to the domain's own directory. `tx` is 0 outside of a transaction.
 */
struct xgl_store {
    /*
     Given to each function.
     */
    void *ctx;
    /*
     Reads a node: at most `size` bytes of its value into `value`, and the value's full length into `*len`.
     */
    int32_t (*read)(void *ctx, uint32_t tx, const char *path, uint8_t *value, size_t size, size_t *len);
    /*
     Writes a node, and makes it if need be. The value has no NUL.
     */
    int32_t (*write)(void *ctx, uint32_t tx, const char *path, const uint8_t *value, size_t len);
    /*
     Opens a transaction; its number, not 0, goes to `*tx`.
     */
    int32_t (*transaction_start)(void *ctx, uint32_t *tx);
    /*
     Commits it (`commit` is not 0) or drops it. It is over afterwards.
     */
    int32_t (*transaction_end)(void *ctx, uint32_t tx, int32_t commit);
    /*
     Sets a watch.
     */
    int32_t (*watch)(void *ctx, const char *path, const char *token);
};

/*
 How long each step may take, in nanoseconds. `xgl_limits_default` fills it in.
 */
struct xgl_limits {
    /*
     From the request to the answer; below 60 s.
     */
    uint64_t acknowledge_ns;
    /*
     Hotplug in flight, devices and parking, together.
     */
    uint64_t quiesce_ns;
    /*
     The drain.
     */
    uint64_t drain_ns;
    /*
     The audit.
     */
    uint64_t audit_ns;
    /*
     Taking down clocks and shared pages.
     */
    uint64_t detach_ns;
    /*
     From the answer to the call; below 60 s.
     */
    uint64_t until_suspended_ns;
    /*
     Waking the other CPUs.
     */
    uint64_t unpark_ns;
    /*
     Tries of a xenstore transaction; at least 1.
     */
    uint32_t transaction_tries;
};

/*
 The steps of a suspend, in the order in which they are made on the way down; the way back is the reverse.
 Each returns 0; a positive number, which names the kernel as the party at fault; or a negative one,
 which is what a hypercall returned and names Xen. **A step that fails leaves things as it found them**: its
 undo is called only after it succeeded. A function that may be null does nothing then.

 All run on the CPU that called `xgl_suspend`. Deadlines are on the clock of the pool's table.
 */
struct xgl_suspend_ops {
    /*
     Given to each function.
     */
    void *ctx;
    /*
     May be null. A phase was entered, `since_ns` after the request: its name, in small letters.
     */
    void (*entered)(void *ctx, const char *phase, uint64_t since_ns);
    /*
     May be null. Makes the kernel's devices of a stage quiet. Called for each of XGL_STAGE_..., in that order.
     */
    int32_t (*quiet)(void *ctx, uint32_t stage, uint64_t deadline_ns);
    /*
     May be null. Brings the devices of a stage back, or begins to; `how` is XGL_BACK_....
     */
    int32_t (*wake)(void *ctx, uint32_t stage, uint32_t how);
    /*
     May be null. Waits for the CPU hotplug under way, and lets none begin.
     */
    int32_t (*hold_hotplug)(void *ctx, uint64_t deadline_ns);
    /*
     May be null. Lets it go on. After a restore offline CPUs are uninitialised.
     */
    void (*release_hotplug)(void *ctx, uint32_t how);
    /*
     May be null on one CPU, if interrupts are off when `xgl_suspend` is called. Brings every other CPU
     out of the kernel's code (`xgl_pool_idle_enter` on each), interrupts off, and turns them off here.
     */
    int32_t (*park)(void *ctx, uint64_t deadline_ns);
    /*
     May be null. Lets them go on and turns interrupts on. After a restore each CPU first registers what
     Xen keeps for a vCPU.
     */
    int32_t (*unpark)(void *ctx, uint32_t how, uint64_t deadline_ns);
    /*
     May be null. PV: takes the recursive entries out of every live set. The pool is drained.
     */
    int32_t (*unlink_windows)(void *ctx, const struct xgl_proof *proof);
    /*
     May be null. PV: puts them back.
     */
    int32_t (*relink_windows)(void *ctx, const struct xgl_proof *proof, uint32_t how);
    /*
     Looks at every page table that Xen will look at, and fails on what would be lost.
     */
    int32_t (*audit)(void *ctx, const struct xgl_proof *proof, uint64_t deadline_ns);
    /*
     May be null: PVH. PV: unmaps the shared-info page and converts the MFNs in `start_info`.
     */
    int32_t (*detach)(void *ctx, const struct xgl_proof *proof, uint64_t deadline_ns);
    /*
     May be null. Takes `detach` back, or sets up a new domain: callback parameter (PVH), shared info, p2m (PV).
     */
    int32_t (*reattach)(void *ctx, uint32_t how);
    /*
     Makes the call, `HYPERVISOR_sched_op(SCHEDOP_shutdown, SHUTDOWN_suspend)`, under PV with
     `start_info`'s frame number as its third argument, and returns what it returned. The pool is drained
     and stays so until this has returned: ask `xgl_proof_recheck`, if you like.
     */
    int64_t (*suspend)(void *ctx, const struct xgl_proof *proof);
    /*
     May be null: PV. PVH: CPUID's incarnation number (leaf base+3, subleaf 0, EDX), asked right before and
     right after the call; returns 0, or not 0 if it cannot be read.
     */
    int32_t (*incarnation)(void *ctx, uint32_t *number);
    /*
     May be null. `reattach` or a device of XGL_STAGE_ALONE did not come back: the kernel may end the domain
     as crashed here. If this returns, the way back goes on.
     */
    void (*lost)(void *ctx, const char *step, int32_t number);
    /*
     Reads `control/shutdown` and `cpu/N/availability` again; after a restore sets the watches first and
     calls `xgl_shutdown_advertise`. What was asked meanwhile is seen here or never.
     */
    int32_t (*reread)(void *ctx, uint32_t how);
};

/*
 What a suspend came to.
 */
struct xgl_suspended {
    /*
     XGL_BACK_....
     */
    uint32_t how;
    /*
     What did not come back on the way up: each was logged, the first is in `step`, `number`, `message`.
     */
    uint32_t faults;
    /*
     XGL_PARTY_..., of the failure or of the first fault.
     */
    uint32_t party;
    /*
     What the kernel's function returned, if it was one that failed.
     */
    int32_t number;
    /*
     The step that failed; empty if none did.
     */
    char step[32];
    /*
     What went wrong, in words.
     */
    char message[160];
};

/*
 A function that a drain calls while its proof is good. What it returns, the drain's caller gets.
 */
typedef int32_t (*xgl_under_proof)(void *arg, const struct xgl_proof *proof);

/*
 What `xgl_pool_reclaim` brought back.
 */
struct xgl_reclaimed {
    /*
     Sets that went to the depot, where every CPU finds them.
     */
    size_t to_depot;
    /*
     Sets destructed.
     */
    size_t destructed;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The sentence of an error number, which names the party at fault. Never null; of a number that is none, it
 says so. From any context.
 */
const char *xgl_error_text(uint32_t error);

/*
 Sends log lines of `level` and more serious ones to `hook`; level 0: none. Before it is called lines are
 dropped. The hook may be called in any context in which the library is, on several CPUs at once; it must
 not call the library.

 XGL_OK, XGL_NULL, XGL_BAD_NUMBER, XGL_ALREADY.
 */
enum xgl_error xgl_set_log(xgl_line_hook hook, uint32_t level);

/*
 Sends a panic's message to `hook`, which must not return and must not call the library: a panic is this
 library's mistake, and nothing the kernel gives it leads to one. If it returns, the CPU loops. A library
 built without `freestanding` has the standard library's own end instead.

 XGL_OK, XGL_NULL, XGL_ALREADY.
 */
enum xgl_error xgl_set_panic_hook(xgl_panic_hook hook);

/*
 Bytes that a pool needs.
 */
size_t xgl_pool_size(void);

/*
 The alignment of its storage, in bytes.
 */
size_t xgl_pool_align(void);

/*
 CPUs that a pool has room for; their numbers are below this.
 */
uint32_t xgl_pool_cpus(void);

/*
 Makes a pool in `storage`, of `size` bytes, at least `xgl_pool_size()`, aligned to `xgl_pool_align()`; gives
 its address, which is that of `storage`. Once for each storage, before any other CPU knows of it. The
 storage and the table stay where they are as long as the pool is used; there is no end to a pool but
 `xgl_pool_close`. No CPU is online: each calls `xgl_pool_cpu_online`.

 From any context. XGL_OK, XGL_NULL, XGL_BAD_STORAGE, XGL_BAD_TABLE.
 */
enum xgl_error xgl_pool_init(void *storage,
                             size_t size,
                             const struct xgl_pool_ops *ops,
                             struct xgl_pool **pool);

/*
 Takes a set from this CPU's cache; if it has none from the depot, and else constructs a batch.

 Interrupts off; XGL_MAY_LOCK on a miss; not from an NMI. XGL_OK with the set in `*set`; XGL_CLOSED,
 XGL_CONSTRUCT, XGL_HOARDED, XGL_WRITE_AFTER_FREE, or what was refused, and `*set` is empty. `detail` may be
 null.
 */
enum xgl_error xgl_pool_get(struct xgl_pool *pool, struct xgl_set *set, struct xgl_detail *detail);

/*
 Takes a set from this CPU's cache, or gives none. Never spins, constructs or takes a lock.

 Interrupts off; from an NMI too. XGL_OK with the set in `*set`; XGL_NONE, which is final: there is nothing to
 try again.
 */
enum xgl_error xgl_pool_try_get(struct xgl_pool *pool, struct xgl_set *set);

/*
 Gives a set back into this CPU's cache; on any CPU. With the gate closed, or if the set is of an old
 generation, or if cache and depot are full, it is destructed instead.

 Interrupts off; XGL_MAY_LOCK unless the cache has room; not from an NMI. XGL_OK: `*set` is empty. What was
 refused, XGL_NOT_DESTRUCTED, XGL_FOREIGN: the set is still in `*set`. XGL_NO_SET: it is empty.
 XGL_QUARANTINED, XGL_DOUBLE_PUT (found in a library built with `checks`): it is empty now. `detail` may be
 null.
 */
enum xgl_error xgl_pool_put(struct xgl_pool *pool, struct xgl_set *set, struct xgl_detail *detail);

/*
 Gives a set back into this CPU's cache, or leaves it in `*set`. Never spins, destructs or takes a lock.

 Interrupts off; from an NMI too. XGL_OK: `*set` is empty. XGL_NEEDS_MORE, or what was refused: the set is
 still in `*set`; give it back later with `xgl_pool_put`.
 */
enum xgl_error xgl_pool_try_put(struct xgl_pool *pool, struct xgl_set *set);

/*
 Gives a set back once every CPU has passed a quiescent state: for sets that other CPUs may still walk
 without a lock. Call it after the set is unlinked, so that no new reader finds it.

 Interrupts off; XGL_MAY_LOCK; not from an NMI. As `xgl_pool_put`; while the gate is closed XGL_CLOSED, and the
 set stays in `*set`.
 */
enum xgl_error xgl_pool_put_deferred(struct xgl_pool *pool,
                                     struct xgl_set *set,
                                     struct xgl_detail *detail);

/*
 This CPU is inside no call of the pool and holds no reference that it got by reading without a lock. The
 idle loop, the scheduler or the tick says so. Finishes deferred frees of this CPU that are due.

 Interrupts off; ignored inside a call of the pool.
 */
enum xgl_error xgl_pool_quiescent(struct xgl_pool *pool);

/*
 This CPU uses the pool from now on. May be repeated.

 Interrupts off.
 */
enum xgl_error xgl_pool_cpu_online(struct xgl_pool *pool);

/*
 This CPU leaves: its cache is destructed, its deferred frees go to the others, and from here on it is
 neither waited for nor woken.

 Interrupts off; XGL_MAY_LOCK. XGL_QUARANTINED: it is offline all the same. `left` and `detail` may be null.
 */
enum xgl_error xgl_pool_cpu_offline(struct xgl_pool *pool, struct xgl_left *left, struct xgl_detail *detail);

/*
 This CPU is about to be idle or parked: until `xgl_pool_idle_exit` it does not touch the pool, and nobody
 waits for it.

 Interrupts off.
 */
enum xgl_error xgl_pool_idle_enter(struct xgl_pool *pool);

/*
 This CPU runs kernel code again. An interrupt handler of an idle CPU calls it too, before it uses the pool.

 Interrupts off.
 */
enum xgl_error xgl_pool_idle_exit(struct xgl_pool *pool);

/*
 Destructs what this CPU's cache holds; the number goes to `*sets`, which may be null.

 Interrupts off; XGL_MAY_LOCK. XGL_QUARANTINED: the rest is done. `detail` may be null.
 */
enum xgl_error xgl_pool_drain_cpu(struct xgl_pool *pool, size_t *sets, struct xgl_detail *detail);

/*
 Destructs the coldest sets of the depot until it holds `target`, at most 64 in one call: call again while
 `shrunk->destructed` is not 0.

 Interrupts off; XGL_MAY_LOCK. XGL_QUARANTINED: the rest is done. `shrunk` and `detail` may be null.
 */
enum xgl_error xgl_pool_shrink(struct xgl_pool *pool,
                               size_t target,
                               struct xgl_shrunk *shrunk,
                               struct xgl_detail *detail);

/*
 Sets what the depot may hold, in sets. It has room for all its magazines until this is called.

 From any context.
 */
enum xgl_error xgl_pool_set_high_water(struct xgl_pool *pool, size_t sets);

/*
 Constructs one batch into the depot if it holds less than the reserve that the library was built with
 (XEN_GUEST_RESERVE); the number goes to `*sets`, which may be null. Call again while it is not 0.

 Interrupts off; XGL_MAY_LOCK. XGL_CONSTRUCT. `detail` may be null.
 */
enum xgl_error xgl_pool_replenish(struct xgl_pool *pool, size_t *sets, struct xgl_detail *detail);

/*
 Tries to destruct what is in quarantine, once each; how many are still there goes to `*left`, which may be
 null.

 Interrupts off; XGL_MAY_LOCK. XGL_BUSY while a drain, invalidation or barrier is under way.
 */
enum xgl_error xgl_pool_retry_quarantined(struct xgl_pool *pool, size_t *left);

/*
 The pool's figures. Interrupts off; XGL_MAY_LOCK.
 */
enum xgl_error xgl_pool_stats(struct xgl_pool *pool, struct xgl_stats *stats);

/*
 One CPU's figures. From any context. XGL_NO_SUCH_CPU.
 */
enum xgl_error xgl_pool_cpu_stats(struct xgl_pool *pool, uint32_t cpu, struct xgl_cpu_stats *stats);

/*
 What the drain did.

 Only in the function that the proof was given to. XGL_PROOF_OVER.
 */
enum xgl_error xgl_proof_report(struct xgl_pool *pool,
                                const struct xgl_proof *proof,
                                struct xgl_drain_report *report);

/*
 Sets that the drain took from the cache of `cpu`.

 Only in the function that the proof was given to. XGL_PROOF_OVER.
 */
enum xgl_error xgl_proof_taken_from(struct xgl_pool *pool,
                                    const struct xgl_proof *proof,
                                    uint32_t cpu,
                                    size_t *sets);

/*
 Looks at every cache, the depot, the deferred frees and the quarantine once more: for the caller that relies
 on the proof, right before the suspend call.

 Only in the function that the proof was given to; XGL_MAY_LOCK. XGL_PROOF_OVER; XGL_NOT_EMPTY is the pool's
 mistake. `detail` may be null.
 */
enum xgl_error xgl_proof_recheck(struct xgl_pool *pool,
                                 const struct xgl_proof *proof,
                                 struct xgl_detail *detail);

/*
 Raises the construction generation while all is drained: sets in use are then of an old one, and are
 destructed when they are put. For a host with other features.

 Only in the function that the proof was given to. XGL_PROOF_OVER.
 */
enum xgl_error xgl_proof_invalidate(struct xgl_pool *pool, const struct xgl_proof *proof);

/*
 The XGL_STORE_... number of an error as xenstored sends it in an XS_ERROR message, `"EAGAIN"` for example: for
 the functions of `xgl_store`. A name that is not known, and null, give XGL_STORE_OTHER. From any context.
 */
int32_t xgl_store_error(const char *name);

/*
 Reads `control/shutdown` and answers it: when its watch fires, at boot, and from `reread`. `accepts` is made
 of XGL_ACCEPT_..., `activity` is one of XGL_ACTIVITY_.... What is to be obeyed (`*what` is XGL_ANSWER_OBEY) was
 acknowledged in the transaction that read it, but for XGL_REQUEST_SUSPEND, which `xgl_suspend` acknowledges.

 Where the store's functions may be called. XGL_STORE: nothing was acknowledged, nothing must be done.
 */
enum xgl_error xgl_shutdown_receive(const struct xgl_store *store,
                                    uint32_t activity,
                                    uint32_t accepts,
                                    uint32_t *request,
                                    uint32_t *what);

/*
 Says in `control/feature-poweroff`, `-reboot` and `-suspend` which requests are obeyed: at boot and after each
 restore, when the nodes are empty again. How many were written goes to `*written`, which may be null.

 Where the store's functions may be called. XGL_STORE if none could be written.
 */
enum xgl_error xgl_shutdown_advertise(const struct xgl_store *store,
                                      uint32_t accepts,
                                      uint32_t *written);

/*
 Limits for any host, inside libxl's windows. XGL_NULL.
 */
enum xgl_error xgl_limits_default(struct xgl_limits *limits);

/*
 A whole suspend, from the request to running again: `quiet(REQUESTED)`, the request is acknowledged in
 one transaction, `hold_hotplug`, `quiet(AWAKE)`, `park`, the pool is drained, `unlink_windows`, `audit`,
 `quiet(ALONE)`, `detach`, `suspend`; and back in reverse, whether it failed, was cancelled or restored:
 `reattach`, `wake(ALONE)`, `relink_windows`, the pool opens, `unpark`, `wake(AWAKE)`, `release_hotplug`,
 `wake(REQUESTED)`, `reread`. From the drain to `relink_windows` the pool is empty and closed.

 `store` may be null: nobody is to be answered. `limits` may be null: those of `xgl_limits_default`. `came` may
 be null.

 On the CPU that Xen wants the call from: vCPU 0. Interrupts on, where the kernel may sleep; `park` turns them
 off. XGL_OK: the call was made, and `came->how` says into which domain it returned; look at `came->faults`.
 XGL_WITHDRAWN, XGL_LATE, XGL_LIMITS, XGL_STORE, XGL_STEP, or the pool's error if it could not be drained:
 the guest runs as before, and `data/suspend-failed` says why. A negative `came->number` is Xen's.
 */
enum xgl_error xgl_suspend(struct xgl_pool *pool,
                           const struct xgl_suspend_ops *steps,
                           const struct xgl_store *store,
                           const struct xgl_limits *limits,
                           struct xgl_suspended *came);

/*
 Empties the cache of every CPU and the depot, finishes all deferred frees, and calls `under(arg, proof)`
 while the pool is empty and stays so; what that returned goes to `*answered`, which may be null. When it
 has returned the gate opens. A CPU that is idle, parked or offline is neither woken nor interrupted; one
 that runs is kicked once if it passes no quiescent state. Meanwhile `xgl_pool_get` gives XGL_CLOSED.

 `under` is called with interrupts off as they were, may put sets, and must not wait for a CPU that wants
 one. XGL_OK: it was called. XGL_TIMEOUT: no cache was touched. XGL_QUARANTINED: all else is drained. After
 any error the gate is open again and `under` was not called.

 Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. `detail` may be null.
 */
enum xgl_error xgl_pool_drain(struct xgl_pool *pool,
                              uint64_t timeout_ns,
                              xgl_under_proof under,
                              void *arg,
                              int32_t *answered,
                              struct xgl_detail *detail);

/*
 Closes the pool for good: drains it and never opens it again. Sets still out are counted in
 `report->in_use`, and destructed when they are put. After XGL_TIMEOUT it is open again.

 Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. `report` and `detail` may be null.
 */
enum xgl_error xgl_pool_close(struct xgl_pool *pool,
                              uint64_t timeout_ns,
                              struct xgl_drain_report *report,
                              struct xgl_detail *detail);

/*
 Makes the free sets of every CPU usable by all: for a kernel whose `xgl_pool_get` gave XGL_HOARDED, which
 then tries again. Waits as a drain does.

 Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. `reclaimed` and `detail` may be null.
 */
enum xgl_error xgl_pool_reclaim(struct xgl_pool *pool,
                                uint64_t timeout_ns,
                                struct xgl_reclaimed *reclaimed,
                                struct xgl_detail *detail);

/*
 The constructed form changes (a kernel L2 entry is added): raises the generation and waits until no set
 constructed before can be handed out by any CPU. Call it after the change. Old sets in use are destructed
 when they are put. The new generation goes to `*generation`, which may be null.

 Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. XGL_TIMEOUT: CPU `detail->cpu` may still be handing one out;
 the generation has gone up all the same. `detail` may be null.
 */
enum xgl_error xgl_pool_invalidate(struct xgl_pool *pool,
                                   uint64_t timeout_ns,
                                   uint32_t *generation,
                                   struct xgl_detail *detail);

/*
 Waits until every free deferred before the call, on whichever CPU, is finished; their number goes to
 `*finished`, which may be null.

 Interrupts off; XGL_MAY_LOCK and XGL_MAY_WAIT. XGL_TIMEOUT: none is lost. `detail` may be null.
 */
enum xgl_error xgl_pool_barrier(struct xgl_pool *pool,
                                uint64_t timeout_ns,
                                size_t *finished,
                                struct xgl_detail *detail);

#ifdef __cplusplus
} // extern "C"
#endif // __cplusplus

#endif /* XEN_GUEST_H */

/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A Xen guest kernel in C: classic PV, x86_64, one vCPU. It keeps constructed, pinned L2 pages in a pool, works in
 * address spaces made of them, and is saved, restored, checkpointed and migrated. The pool, the order of a suspend
 * and the answers to the toolstack are the library's. pv.c has what a kernel has before, start.S the entry.
 *
 * With "undrained" on its command line what the drain takes apart stays pinned: no Xen restores that. */
#include "pv.h"

/* A set is four L2 pages. The first is the holder: its last four entries link all four, so that the kernel reaches
 * a set's tables through it, and it maps the last GiB. It lies lowest, because Xen pins in the order of frames: it
 * would come to the holder before the others are L2 pages, take them for L1 pages, and refuse them afterwards. */
enum { SETS = 32, SPACES = 8, HOLDER = 0, WINDOW = 508, SLOT = 1, BRIEF = 8, NO_SETS = 12 };
enum { ACCEPTS = XGL_ACCEPT_SUSPEND | XGL_ACCEPT_POWEROFF | XGL_ACCEPT_HALT | XGL_ACCEPT_REBOOT };

static page_t sets[SETS + 1][4];
static size_t next[SETS + 1];
/* Not 0: Xen holds pages of the set as page tables. */
static uint8_t made[SETS + 1];
static int undrained, suspending;
static struct xgl_pool *pool;

/* Address spaces: an L2 page's entry SLOT maps a page with the space's age, by an L1 page. */
static struct {
    struct xgl_set set;
    uint64_t age;
} spaces[SPACES];
static page_t l1[SPACES], data[SPACES], l3;

/* The page of a set that maps a GiB. */
static uint64_t *of_gib(size_t set, unsigned gib) { return sets[set][(gib + 1) % 4]; }

/* Makes a set's pages read-only and pins them, the holder last; or the way back, the holder first. In one call. */
static int32_t change(size_t set, int make) {
    struct mmuext_op pins[4];
    struct multicall_entry calls[5];
    for (unsigned n = 0; n < 4; n++) {
        uint64_t *page = make ? of_gib(set, n) : sets[set][n];
        pins[n] = (struct mmuext_op){.cmd = make ? MMUEXT_PIN_L2_TABLE : MMUEXT_UNPIN_TABLE, .arg1.mfn = mfn(page)};
        calls[make ? n : n + 1] = (struct multicall_entry){
            __HYPERVISOR_update_va_mapping, 0, {(uint64_t)page, entry(page, make ? READ : WRITE), UVMF_INVLPG}};
    }
    calls[make ? 4 : 0] = (struct multicall_entry){__HYPERVISOR_mmuext_op, 0, {(uint64_t)pins, 4, 0, DOMID_SELF}};
    long bad = hypercall(__HYPERVISOR_multicall, (uint64_t)calls, (void *)5, 0, 0);
    for (unsigned n = 0; n < 5 && bad == 0; n++)
        bad = (long)calls[n].result;
    made[set] = make || bad;
    return (int32_t)bad;
}

static int32_t construct(void *ctx, size_t *out, size_t count, struct xgl_spent *spent, size_t *stuck) {
    int32_t bad = 0;
    size_t done = 0;
    while (done < count && bad == 0) {
        size_t set = 1;
        while (set <= SETS && made[set])
            set++;
        if (set > SETS) {
            bad = NO_SETS;
            break;
        }
        memset(sets[set], 0, sizeof sets[set]);
        for (unsigned gib = 0; gib < 4; gib++)
            sets[set][HOLDER][WINDOW + gib] = entry(of_gib(set, gib), READ);
        out[done++] = set;
        bad = change(set, 1);
    }
    for (size_t n = 0; bad && n < done; n++)
        if (change(out[n], 0))
            out[(*stuck)++] = out[n];
    spent->hypercalls = (uint32_t)done;
    return bad;
}

static int32_t destruct(void *ctx, const size_t *which, size_t count, struct xgl_spent *spent, size_t *at) {
    if (undrained && suspending)
        return 0;
    for (size_t n = 0; n < count; n++) {
        int32_t bad = change(which[n], 0);
        if (bad) {
            *at = n;
            return bad;
        }
    }
    spent->hypercalls = (uint32_t)count;
    return 0;
}

static void set_next(void *ctx, size_t set, size_t to) { next[set] = to; }
static size_t get_next(void *ctx, size_t set) { return next[set]; }
/* Nobody is waited for: there is one vCPU. */
static int32_t relax(void *ctx, uint32_t cpu) { return 1; }

/* While shared-info is not mapped, between detach and reattach, nobody can have changed the mask. */
static void here(void *ctx, struct xgl_here *where) {
    int off = clock_stands() || shared.info.vcpu_info[0].evtchn_upcall_mask;
    *where = (struct xgl_here){0, (off ? XGL_INTERRUPTS_OFF : 0) | XGL_MAY_LOCK | XGL_MAY_WAIT};
}

static const struct xgl_pool_ops pool_ops = {
    .here = here, .construct = construct, .destruct = destruct, .set_next = set_next,
    .next = get_next, .relax = relax, .now_ns = now,
};

static void must(long error, const char *what) {
    if (error)
        die(what, error);
}

/* Goes over to an address space; to none, if `set` is 0. */
static void enter(size_t set) {
    for (unsigned gib = 0; gib < 4; gib++)
        must(write_entry(&l3[gib], set ? entry(of_gib(set, gib), WRITE) : 0), "an L3 entry is refused: ");
    must(table(MMUEXT_TLB_FLUSH_LOCAL, NULL), "a TLB flush is refused: ");
}

/* Reads a space back, by its mapping and by its window. */
static void check(unsigned n) {
    const uint64_t frame = 0x000ffffffffff000;
    const volatile uint64_t *user = (uint64_t *)(SLOT * 512 * PAGE);
    const volatile uint64_t *window = (uint64_t *)((3 * 512 + WINDOW) * 512 * PAGE + SLOT * PAGE);
    enter(spaces[n].set.set);
    if (*user != spaces[n].age)
        die("an address space is not what it was, of age ", (long)spaces[n].age);
    if ((*window ^ entry(data[n], 0)) & frame)
        die("a window is not what it was, in a space of age ", (long)spaces[n].age);
}

/* Address spaces that live for a moment: there are always sets in the cache. */
static void burst(void) {
    struct xgl_set brief[BRIEF];
    for (unsigned n = 0; n < BRIEF; n++)
        must(xgl_pool_get(pool, &brief[n], NULL), "a get is refused: ");
    for (unsigned n = 0; n < BRIEF; n++)
        must(xgl_pool_put(pool, &brief[n], NULL), "a put is refused: ");
}

/* One address space ends and another begins; all are read back. */
static void churn(uint64_t age) {
    unsigned place = age % SPACES;
    struct xgl_set *set = &spaces[place].set;
    enter(0);
    if (set->set) {
        must(write_entry(&of_gib(set->set, 0)[SLOT], 0), "an L2 entry is refused: ");
        must(xgl_pool_put(pool, set, NULL), "a put is refused: ");
    }
    must(xgl_pool_get(pool, set, NULL), "a get is refused: ");
    data[place][0] = spaces[place].age = age;
    must(write_entry(&of_gib(set->set, 0)[SLOT], entry(l1[place], WRITE)), "an L2 entry is refused: ");
    for (unsigned n = 0; n < SPACES; n++)
        if (spaces[n].set.set)
            check(n);
}

/* The windows of the spaces in use: Xen would restore them in the wrong order too. */
static int32_t windows(int on) {
    for (unsigned n = 0; n < SPACES; n++)
        for (unsigned gib = 0; spaces[n].set.set && gib < 4; gib++) {
            size_t set = spaces[n].set.set;
            long bad = write_entry(&sets[set][HOLDER][WINDOW + gib], on ? entry(of_gib(set, gib), READ) : 0);
            if (bad)
                return (int32_t)bad;
        }
    return 0;
}

static int32_t unlink_windows(void *ctx, const struct xgl_proof *proof) {
    struct xgl_drain_report report;
    int32_t bad = windows(0);
    if (xgl_proof_report(pool, proof, &report) == XGL_OK)
        say(undrained ? "left undrained, sets: " : "drained, sets: ", report.cached + report.depot, "");
    if (bad)
        windows(1);
    return bad;
}

static int32_t relink_windows(void *ctx, const struct xgl_proof *proof, uint32_t how) {
    return windows(1);
}

/* What Xen holds as page tables must be in use, and no more. */
static int32_t audit(void *ctx, const struct xgl_proof *proof, uint64_t deadline) {
    int32_t idle = 0;
    for (size_t set = 1; set <= SETS; set++)
        idle += made[set];
    for (unsigned n = 0; n < SPACES; n++)
        idle -= spaces[n].set.set != 0;
    return undrained ? 0 : idle;
}

/* A save can carry neither the mapping of shared-info nor machine frames in start_info. */
static int32_t detach(void *ctx, const struct xgl_proof *proof, uint64_t deadline) {
    stop_clock();
    pv_hand_over();
    int32_t bad = (int32_t)map(&shared, 0);
    if (bad) {
        pv_take_back();
        start_clock();
    }
    return bad;
}

static int32_t reattach(void *ctx, uint32_t how) {
    int32_t bad = (int32_t)map(&shared, info->shared_info | WRITE);
    if (bad)
        return bad;
    pv_take_back();
    start_clock();
    if (how == XGL_BACK_RESTORED)
        pv_publish();
    return 0;
}

static int64_t call(void *ctx, const struct xgl_proof *proof) {
    must(xgl_proof_recheck(pool, proof, NULL), "the pool is not empty: ");
    return end(SHUTDOWN_suspend);
}

static void lost(void *ctx, const char *step, int32_t number) {
    put(step);
    die(": the domain cannot live on: ", number);
}

/* At boot too. In a new domain xenstored knows of no watch; each fires once when it is set. */
static int32_t reread(void *ctx, uint32_t how) {
    asked = 1;
    if (how != XGL_BACK_RESTORED)
        return 0;
    if (xgl_shutdown_advertise(&store, ACCEPTS, NULL) != XGL_OK)
        put("control/feature-* cannot be written: a toolstack that asks takes this for a kernel without suspend\n");
    return store.watch(store.ctx, "control/shutdown", "shutdown");
}

static const struct xgl_suspend_ops steps = {
    .unlink_windows = unlink_windows, .relink_windows = relink_windows, .audit = audit, .detach = detach,
    .reattach = reattach, .suspend = call, .lost = lost, .reread = reread,
};

static void suspend(void) {
    struct xgl_suspended came;
    suspending = 1;
    enum xgl_error error = xgl_suspend(pool, &steps, &store, NULL, &came);
    suspending = 0;
    put(error ? "no suspend" : came.how == XGL_BACK_RESTORED ? "restored" : "back in the same domain");
    put(error || came.faults ? ": " : "");
    put(error || came.faults ? came.message : "");
    put("\n");
}

static void answer(void) {
    uint32_t request, what;
    asked = 0;
    if (xgl_shutdown_receive(&store, XGL_ACTIVITY_RUNNING, ACCEPTS, &request, &what) != XGL_OK)
        asked = 1; /* the watch fires once: looked at again in a second */
    else if (what == XGL_ANSWER_OBEY && request == XGL_REQUEST_SUSPEND)
        suspend();
    else if (what == XGL_ANSWER_OBEY)
        end(request == XGL_REQUEST_REBOOT ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
}

static void line(uint32_t level, const char *text, size_t len) {
    put(text);
    put("\n");
}

static void panicked(const char *text, size_t len) {
    line(1, text, len);
    die("the library panicked: ", 0);
}

_Noreturn void kernel(start_info_t *from_xen) {
    static char storage[65536] __attribute__((aligned(PAGE)));
    pv_begin(from_xen);
    undrained = memcmp(info->cmd_line, "undrained", 9) == 0;
    put(undrained ? "a guest in C, which leaves its sets pinned\n" : "a guest in C\n");
    for (unsigned n = 0; n < SPACES; n++) {
        l1[n][0] = entry(data[n], WRITE);
        must(map(l1[n], entry(l1[n], READ)), "an L1 page: ");
        must(table(MMUEXT_PIN_L1_TABLE, l1[n]), "an L1 page cannot be pinned: ");
    }
    must(map(l3, entry(l3, READ)), "the L3 page: ");
    must(write_entry((uint64_t *)info->pt_base, entry(l3, WRITE)), "the L4 entry: ");
    must(xgl_set_log(line, 3), "log: ");
    must(xgl_set_panic_hook(panicked), "panic hook: ");
    must(xgl_pool_init(storage, sizeof storage, &pool_ops, &pool), "the pool: ");
    must(xgl_pool_cpu_online(pool), "CPU 0: ");
    must(reread(NULL, XGL_BACK_RESTORED), "xenstore: ");
    for (uint64_t age = 1;; age++) {
        churn(age);
        burst();
        say("alive, ", age, " address spaces so far");
        xgl_pool_quiescent(pool);
        store_idle();
        if (asked)
            answer();
    }
}

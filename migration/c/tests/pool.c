/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Every call of the pool from one CPU, and two CPUs by turns. */
#include "common.h"

static struct xgl_pool *the_pool;
static const struct xgl_proof *kept;

static int32_t under(void *arg, const struct xgl_proof *proof) {
    struct xgl_drain_report report;
    struct xgl_set set = {0, 0};
    size_t taken = 99;
    kept = proof;
    EXPECT(xgl_proof_report(the_pool, proof, &report), XGL_OK);
    CHECK(report.cached + report.depot + report.deferred > 0 && report.backend_calls > 0);
    EXPECT(xgl_proof_taken_from(the_pool, proof, 0, &taken), XGL_OK);
    CHECK(taken <= report.cached);
    EXPECT(xgl_proof_recheck(the_pool, proof, NULL), XGL_OK);
    EXPECT(xgl_pool_get(the_pool, &set, NULL), XGL_CLOSED);
    EXPECT(xgl_pool_try_get(the_pool, &set), XGL_NONE);
    /* Another CPU that has got hold of the number. */
    this_cpu = 1;
    EXPECT(xgl_proof_recheck(the_pool, proof, NULL), XGL_PROOF_OVER);
    this_cpu = 0;
    EXPECT(xgl_proof_invalidate(the_pool, proof), XGL_OK);
    *(int *)arg += 1;
    return 42;
}

static void bad_arguments(struct xgl_pool *pool) {
    struct xgl_pool_ops lacking = pool_ops;
    struct xgl_pool *made;
    struct xgl_set set = {0, 0};
    char small[64];
    EXPECT(xgl_pool_init(NULL, xgl_pool_size(), &pool_ops, &made), XGL_NULL);
    EXPECT(xgl_pool_init(small, sizeof small, &pool_ops, &made), XGL_BAD_STORAGE);
    lacking.relax = NULL;
    EXPECT(xgl_pool_init(small, sizeof small, &lacking, &made), XGL_BAD_TABLE);
    EXPECT(xgl_pool_get(NULL, &set, NULL), XGL_NULL);
    EXPECT(xgl_pool_get((struct xgl_pool *)((char *)pool + 1), &set, NULL), XGL_NOT_A_POOL);
    EXPECT(xgl_pool_get(pool, NULL, NULL), XGL_NULL);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_NO_SET);
    EXPECT(xgl_pool_drain(pool, MS, NULL, NULL, NULL, NULL), XGL_NULL);
}

static void contexts(struct xgl_pool *pool) {
    struct xgl_detail detail;
    struct xgl_set set = {0, 0};
    this_context = XGL_MAY_LOCK | XGL_MAY_WAIT;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_INTERRUPTS_ON);
    this_context = XGL_INTERRUPTS_OFF;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_WRONG_CONTEXT);
    this_context = XGL_INTERRUPTS_OFF | XGL_MAY_LOCK;
    EXPECT(xgl_pool_invalidate(pool, MS, NULL, NULL), XGL_WRONG_CONTEXT);
    this_context |= XGL_MAY_WAIT;
    this_cpu = xgl_pool_cpus();
    EXPECT(xgl_pool_get(pool, &set, &detail), XGL_NO_SUCH_CPU);
    CHECK(detail.cpu == xgl_pool_cpus());
    this_cpu = 0;
}

static void get_and_put(struct xgl_pool *pool) {
    struct xgl_cpu_stats cpu;
    struct xgl_stats stats;
    struct xgl_set set = {0, 0}, copy;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    CHECK(set.set >= 1 && set.set <= SETS && atomic_load(&kernel.used[set.set]) == 1);
    copy = set;
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
    CHECK(set.set == 0);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_NO_SET);
#ifdef WITH_CHECKS
    {
        struct xgl_detail detail;
        EXPECT(xgl_pool_put(pool, &copy, &detail), XGL_DOUBLE_PUT);
        CHECK(detail.set == copy.set || copy.set == 0);
    }
#else
    (void)copy;
#endif
    EXPECT(xgl_pool_try_get(pool, &set), XGL_OK);
    EXPECT(xgl_pool_try_put(pool, &set), XGL_OK);
    EXPECT(xgl_pool_stats(pool, &stats), XGL_OK);
    CHECK(stats.total.hits >= 1 && stats.total.misses >= 1 && stats.in_use == 0);
    EXPECT(xgl_pool_cpu_stats(pool, 0, &cpu), XGL_OK);
    CHECK(cpu.running && cpu.cached == stats.total.cached && cpu.hypercalls == cpu.backend_calls);
    EXPECT(xgl_pool_cpu_stats(pool, xgl_pool_cpus(), &cpu), XGL_NO_SUCH_CPU);
}

static void deferred(struct xgl_pool *pool) {
    struct xgl_set set = {0, 0};
    size_t finished = 0;
    struct xgl_stats stats;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_put_deferred(pool, &set, NULL), XGL_OK);
    CHECK(set.set == 0);
    EXPECT(xgl_pool_stats(pool, &stats), XGL_OK);
    CHECK(stats.in_flight == 1);
    EXPECT(xgl_pool_barrier(pool, 1000 * MS, &finished, NULL), XGL_OK);
    CHECK(finished == 1);
    EXPECT(xgl_pool_quiescent(pool), XGL_OK);
}

static void generations(struct xgl_pool *pool) {
    struct xgl_set set = {0, 0};
    uint32_t before = 0, after = 0;
    EXPECT(xgl_pool_invalidate(pool, 1000 * MS, &before, NULL), XGL_OK);
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_invalidate(pool, 1000 * MS, &after, NULL), XGL_OK);
    CHECK(after == before + 1);
    EXPECT(xgl_pool_try_put(pool, &set), XGL_NEEDS_MORE);
    CHECK(set.set != 0);
    {
        uintptr_t old = set.set;
        EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
        CHECK(atomic_load(&kernel.used[old]) == 0); /* destructed: it is of an old generation */
    }
}

static void a_late_cpu(struct xgl_pool *pool) {
    struct xgl_detail detail;
    int32_t answered = 0;
    int calls = 0;
    this_cpu = 1;
    EXPECT(xgl_pool_cpu_online(pool), XGL_OK);
    this_cpu = 0;
    atomic_store(&kernel.frozen, 1);
    atomic_store(&kernel.kicks, 0);
    EXPECT(xgl_pool_drain(pool, 20 * MS, under, &calls, &answered, &detail), XGL_TIMEOUT);
    CHECK(detail.cpu == 1 && calls == 0 && answered == 0);
    CHECK(atomic_load(&kernel.kicks) == 1);
    atomic_store(&kernel.frozen, 0);
    this_cpu = 1;
    EXPECT(xgl_pool_idle_enter(pool), XGL_OK);
    this_cpu = 0;
}

static void drained(struct xgl_pool *pool) {
    struct xgl_set set = {0, 0}, out = {0, 0};
    int32_t answered = 0;
    int calls = 0;
    this_cpu = 1;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_NOT_ONLINE);
    EXPECT(xgl_pool_idle_exit(pool), XGL_OK);
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_idle_enter(pool), XGL_OK);
    this_cpu = 0;
    EXPECT(xgl_pool_get(pool, &out, NULL), XGL_OK);
    atomic_store(&kernel.kicks, 0);
    EXPECT(xgl_pool_drain(pool, 1000 * MS, under, &calls, &answered, NULL), XGL_OK);
    CHECK(calls == 1 && answered == 42 && atomic_load(&kernel.kicks) == 0);
    for (uintptr_t i = 1; i <= SETS; i++)
        CHECK(atomic_load(&kernel.used[i]) == (i == out.set));
    /* The number is worth nothing now, nor in the next drain. */
    EXPECT(xgl_proof_recheck(pool, kept, NULL), XGL_PROOF_OVER);
    EXPECT(xgl_proof_recheck(pool, NULL, NULL), XGL_PROOF_OVER);
    EXPECT(xgl_pool_put(pool, &out, NULL), XGL_OK);
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
}

static void quarantine(struct xgl_pool *pool) {
    struct xgl_detail detail;
    struct xgl_set set = {0, 0};
    int32_t answered = 0;
    int calls = 0;
    size_t left = 0;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    atomic_store(&kernel.stubborn, (unsigned)set.set);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_drain(pool, 1000 * MS, under, &calls, &answered, &detail), XGL_QUARANTINED);
    CHECK(detail.set == atomic_load(&kernel.stubborn) && detail.number == 16 && detail.count == 1);
    CHECK(calls == 0);
    EXPECT(xgl_pool_retry_quarantined(pool, &left), XGL_OK);
    CHECK(left == 1);
    atomic_store(&kernel.stubborn, 0);
    EXPECT(xgl_pool_retry_quarantined(pool, &left), XGL_OK);
    CHECK(left == 0);
}

static void short_of_frames(struct xgl_pool *pool) {
    struct xgl_detail detail;
    struct xgl_reclaimed back;
    struct xgl_set set = {0, 0}, sets[4];
    size_t gone = 0;
    EXPECT(xgl_pool_drain_cpu(pool, &gone, NULL), XGL_OK);
    atomic_store(&kernel.limit, 4);
    for (int i = 0; i < 4; i++) {
        memset(&sets[i], 0, sizeof sets[i]);
        EXPECT(xgl_pool_get(pool, &sets[i], NULL), XGL_OK);
    }
    EXPECT(xgl_pool_get(pool, &set, &detail), XGL_CONSTRUCT);
    CHECK(detail.number == 12 && set.set == 0);
    this_cpu = 1;
    EXPECT(xgl_pool_idle_exit(pool), XGL_OK);
    EXPECT(xgl_pool_put(pool, &sets[0], NULL), XGL_OK);
    EXPECT(xgl_pool_idle_enter(pool), XGL_OK);
    this_cpu = 0;
    EXPECT(xgl_pool_get(pool, &set, &detail), XGL_HOARDED);
    CHECK(detail.count == 1);
    EXPECT(xgl_pool_reclaim(pool, 1000 * MS, &back, NULL), XGL_OK);
    CHECK(back.to_depot == 1 && back.destructed == 0);
    EXPECT(xgl_pool_get(pool, &sets[0], NULL), XGL_OK);
    for (int i = 0; i < 4; i++)
        EXPECT(xgl_pool_put(pool, &sets[i], NULL), XGL_OK);
    atomic_store(&kernel.limit, SETS);
}

static void trimmed(struct xgl_pool *pool) {
    struct xgl_set sets[60];
    struct xgl_shrunk shrunk;
    size_t built = 99;
    memset(sets, 0, sizeof sets);
    for (int i = 0; i < 60; i++)
        EXPECT(xgl_pool_get(pool, &sets[i], NULL), XGL_OK);
    for (int i = 0; i < 60; i++)
        EXPECT(xgl_pool_put(pool, &sets[i], NULL), XGL_OK);
    EXPECT(xgl_pool_shrink(pool, 0, &shrunk, NULL), XGL_OK);
    CHECK(shrunk.destructed > 0);
    EXPECT(xgl_pool_set_high_water(pool, 10), XGL_OK);
    EXPECT(xgl_pool_replenish(pool, &built, NULL), XGL_OK);
    CHECK(built == 0); /* this library was built without a reserve */
}

static void the_end(struct xgl_pool *pool) {
    struct xgl_drain_report report;
    struct xgl_left left;
    struct xgl_set set = {0, 0};
    this_cpu = 1;
    EXPECT(xgl_pool_idle_exit(pool), XGL_OK);
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_cpu_offline(pool, &left, NULL), XGL_OK);
    CHECK(left.drained >= 1 && left.cached == 0);
    this_cpu = 0;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_close(pool, 1000 * MS, &report, NULL), XGL_OK);
    CHECK(report.in_use == 1);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_CLOSED_FOR_GOOD);
    for (uintptr_t i = 1; i <= SETS; i++)
        CHECK(atomic_load(&kernel.used[i]) == 0);
}

void test_pool(struct xgl_pool *pool) {
    the_pool = pool;
    bad_arguments(pool);
    EXPECT(xgl_pool_get(pool, &(struct xgl_set){0}, NULL), XGL_NOT_ONLINE);
    EXPECT(xgl_pool_cpu_online(pool), XGL_OK);
    contexts(pool);
    get_and_put(pool);
    deferred(pool);
    generations(pool);
    a_late_cpu(pool);
    drained(pool);
    quarantine(pool);
    short_of_frames(pool);
    trimmed(pool);
    the_end(pool);
}

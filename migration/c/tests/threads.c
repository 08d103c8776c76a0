/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Four threads as CPUs: three churn, one drains. No set may have two owners, and none may be left while a
 * proof is good. */
#include "common.h"

#define CHURNERS 3
#define DRAINS 200

static struct xgl_pool *pool;
static atomic_int stop;
static atomic_uint owner[SETS + 1];
static atomic_ulong got;

/* Takes a set, is its only owner for a moment, and gives it back. */
static void churn_once(unsigned round) {
    struct xgl_set set = {0, 0};
    enum xgl_error error = xgl_pool_get(pool, &set, NULL);
    uintptr_t which = set.set;
    /* Deferred frees pile up while the host runs another thread, until no set is left for a while. */
    if (error == XGL_CLOSED || error == XGL_HOARDED || error == XGL_CONSTRUCT)
        return;
    EXPECT(error, XGL_OK);
    CHECK(atomic_exchange(&owner[which], this_cpu + 1) == 0);
    CHECK(atomic_load(&kernel.used[which]) == 1);
    atomic_fetch_add(&got, 1);
    CHECK(atomic_exchange(&owner[which], 0) == this_cpu + 1);
    if (round % 8 == 0) {
        error = xgl_pool_put_deferred(pool, &set, NULL);
        if (error == XGL_OK)
            return;
        EXPECT(error, XGL_CLOSED);
    }
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
}

static void *churn(void *arg) {
    unsigned round = 0;
    this_cpu = (uint32_t)(uintptr_t)arg;
    EXPECT(xgl_pool_cpu_online(pool), XGL_OK);
    while (!atomic_load(&stop)) {
        churn_once(round++);
        EXPECT(xgl_pool_quiescent(pool), XGL_OK);
        if (round % 64 == 0) {
            EXPECT(xgl_pool_idle_enter(pool), XGL_OK);
            sched_yield();
            EXPECT(xgl_pool_idle_exit(pool), XGL_OK);
        }
    }
    EXPECT(xgl_pool_cpu_offline(pool, NULL, NULL), XGL_OK);
    return NULL;
}

/* With the proof: what is constructed is in use, so the two numbers are one. The churners put meanwhile, so
 * the count of those in use is looked at until it has not moved. */
static int32_t nothing_is_cached(void *arg, const struct xgl_proof *proof) {
    struct xgl_stats stats;
    (void)arg;
    EXPECT(xgl_proof_recheck(pool, proof, NULL), XGL_OK);
    EXPECT(xgl_pool_stats(pool, &stats), XGL_OK);
    CHECK(stats.total.cached == 0 && stats.depot == 0 && stats.in_flight == 0);
    CHECK(stats.in_use <= CHURNERS);
    return 7;
}

void test_threads(void) {
    pthread_t threads[CHURNERS];
    struct xgl_drain_report report;
    int32_t answered = 0;
    pool = new_pool();
    EXPECT(xgl_pool_cpu_online(pool), XGL_OK);
    for (uintptr_t i = 0; i < CHURNERS; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    for (int i = 0; i < DRAINS; i++) {
        answered = 0;
        EXPECT(xgl_pool_drain(pool, 60000 * MS, nothing_is_cached, NULL, &answered, NULL), XGL_OK);
        CHECK(answered == 7);
        if (i % 16 == 0)
            EXPECT(xgl_pool_barrier(pool, 60000 * MS, NULL, NULL), XGL_OK);
        if (i % 16 == 8)
            EXPECT(xgl_pool_invalidate(pool, 60000 * MS, NULL, NULL), XGL_OK);
        EXPECT(xgl_pool_quiescent(pool), XGL_OK);
        sched_yield();
    }
    while (atomic_load(&got) < 1000) {
        EXPECT(xgl_pool_quiescent(pool), XGL_OK);
        sched_yield();
    }
    atomic_store(&stop, 1);
    EXPECT(xgl_pool_idle_enter(pool), XGL_OK);
    for (int i = 0; i < CHURNERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    EXPECT(xgl_pool_idle_exit(pool), XGL_OK);
    EXPECT(xgl_pool_close(pool, 60000 * MS, &report, NULL), XGL_OK);
    CHECK(report.in_use == 0);
    for (uintptr_t i = 1; i <= SETS; i++)
        CHECK(atomic_load(&kernel.used[i]) == 0);
    free(pool);
}

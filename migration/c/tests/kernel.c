/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The tables of the tests' kernel, and its main. */
#include "common.h"

_Thread_local uint32_t this_cpu = 0;
_Thread_local uint32_t this_context = XGL_INTERRUPTS_OFF | XGL_MAY_LOCK | XGL_MAY_WAIT;
struct kernel kernel;
static atomic_uint lines;

static void here(void *ctx, struct xgl_here *where) {
    CHECK(ctx == &kernel);
    where->cpu = this_cpu;
    where->flags = this_context;
}

static int32_t construct(void *ctx, uintptr_t *sets, size_t count, struct xgl_spent *spent,
                         size_t *stuck) {
    struct kernel *k = ctx;
    CHECK(count >= 1 && count <= 15 && *stuck == 0);
    atomic_fetch_add(&k->constructs, 1);
    spent->hypercalls = 1;
    for (size_t i = 0; i < count; i++) {
        sets[i] = 0;
        for (uintptr_t set = 1; set <= atomic_load(&k->limit) && sets[i] == 0; set++)
            if (atomic_exchange(&k->used[set], 1) == 0)
                sets[i] = set;
        if (sets[i] == 0) {
            while (i-- > 0)
                atomic_store(&k->used[sets[i]], 0);
            return 12;
        }
    }
    return 0;
}

static int32_t destruct(void *ctx, const uintptr_t *sets, size_t count, struct xgl_spent *spent,
                        size_t *at) {
    struct kernel *k = ctx;
    CHECK(count >= 1 && count <= 64);
    atomic_fetch_add(&k->destructs, 1);
    spent->hypercalls = 1;
    spent->tlb_flushes = 1;
    for (size_t i = 0; i < count; i++) {
        if (sets[i] == atomic_load(&k->stubborn)) {
            *at = i;
            return 16;
        }
        CHECK(atomic_exchange(&k->used[sets[i]], 0) == 1);
    }
    return 0;
}

static void set_next(void *ctx, uintptr_t set, uintptr_t next) {
    struct kernel *k = ctx;
    CHECK(set >= 1 && set <= SETS && next <= SETS);
    atomic_store(&k->next[set], next);
}

static uintptr_t next(void *ctx, uintptr_t set) {
    struct kernel *k = ctx;
    CHECK(set >= 1 && set <= SETS);
    return atomic_load(&k->next[set]);
}

static uint32_t *mark(void *ctx, uintptr_t set) {
    struct kernel *k = ctx;
    CHECK(set >= 1 && set <= SETS);
    return &k->mark[set];
}

static void kick(void *ctx, uint32_t cpu) {
    struct kernel *k = ctx;
    CHECK(cpu < xgl_pool_cpus());
    atomic_fetch_add(&k->kicks, 1);
}

static int32_t relax(void *ctx, uint32_t cpu) {
    struct kernel *k = ctx;
    (void)cpu;
    atomic_fetch_add(&k->now, MS);
    sched_yield();
    return 1;
}

uint64_t now_ns(void *ctx) {
    struct kernel *k = ctx;
    struct timespec t;
    if (atomic_load(&k->frozen))
        return atomic_load(&k->now);
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

const struct xgl_pool_ops pool_ops = {
    .ctx = &kernel,
    .here = here,
    .construct = construct,
    .destruct = destruct,
    .set_next = set_next,
    .next = next,
    .mark = mark,
    .kick = kick,
    .relax = relax,
    .now_ns = now_ns,
};

struct xgl_pool *new_pool(void) {
    struct xgl_pool *pool = NULL;
    size_t size = xgl_pool_size(), align = xgl_pool_align();
    void *storage = aligned_alloc(align, (size + align - 1) / align * align);
    memset(&kernel, 0, sizeof kernel);
    atomic_store(&kernel.limit, SETS);
    CHECK(storage != NULL);
    memset(storage, 0xa5, size);
    EXPECT(xgl_pool_get((struct xgl_pool *)storage, &(struct xgl_set){0}, NULL), XGL_NOT_A_POOL);
    EXPECT(xgl_pool_init(storage, size, &pool_ops, &pool), XGL_OK);
    CHECK((void *)pool == storage);
    return pool;
}

static void line(uint32_t level, const char *text, size_t len) {
    CHECK(level >= 1 && level <= 4 && strlen(text) == len && len > 0);
    atomic_fetch_add(&lines, 1);
}

static void panicked(const char *text, size_t len) {
    fprintf(stderr, "panic: %.*s\n", (int)len, text);
    abort();
}

static void test_hooks(void) {
    EXPECT(xgl_set_log(NULL, 3), XGL_NULL);
    EXPECT(xgl_set_log(line, 77), XGL_BAD_NUMBER);
    EXPECT(xgl_set_log(line, 4), XGL_OK);
    EXPECT(xgl_set_log(line, 4), XGL_ALREADY);
    EXPECT(xgl_set_panic_hook(NULL), XGL_NULL);
    EXPECT(xgl_set_panic_hook(panicked), XGL_OK);
    EXPECT(xgl_set_panic_hook(panicked), XGL_ALREADY);
    CHECK(strstr(xgl_error_text(XGL_INTERRUPTS_ON), "kernel") != NULL);
    CHECK(strstr(xgl_error_text(12345), "no error number") != NULL);
    EXPECT(xgl_store_error("EAGAIN"), XGL_STORE_AGAIN);
    EXPECT(xgl_store_error("ENOENT"), XGL_STORE_NOT_FOUND);
    EXPECT(xgl_store_error("EWHAT"), XGL_STORE_OTHER);
    EXPECT(xgl_store_error(NULL), XGL_STORE_OTHER);
}

int main(void) {
    struct xgl_pool *pool;
    test_hooks();
    pool = new_pool();
    test_pool(pool);
    CHECK(atomic_load(&lines) > 0); /* the quarantine was logged */
    free(pool);
    test_threads();
    pool = new_pool();
    test_suspend(pool);
    free(pool);
    puts("all of it");
    return 0;
}

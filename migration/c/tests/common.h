/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A kernel of threads for the tests: each thread is a CPU, a set is a number from 1, and its frames are an entry of
 * a table. */
#ifndef COMMON_H
#define COMMON_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xen_guest.h"

#define SETS 512
#define MS UINT64_C(1000000)

#define CHECK(truth)                                                                     \
    do {                                                                                 \
        if (!(truth)) {                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #truth);                  \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

/* Says which error came, not just that another was expected. */
#define EXPECT(call, expected)                                                           \
    do {                                                                                 \
        uint32_t came_ = (uint32_t)(call);                                               \
        if (came_ != (uint32_t)(expected)) {                                             \
            fprintf(stderr, "%s:%d: %s: %s (%u), expected %s\n", __FILE__, __LINE__,     \
                    #call, xgl_error_text(came_), came_, xgl_error_text(expected));      \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

struct kernel {
    atomic_uint used[SETS + 1];
    atomic_size_t next[SETS + 1];
    uint32_t mark[SETS + 1];
    atomic_uint limit;      /* sets that there are frames for */
    atomic_uint stubborn;   /* a set that cannot be destructed */
    atomic_uint kicks;
    atomic_uint constructs, destructs;
    atomic_int frozen;      /* the clock: relax alone makes it go on */
    atomic_ullong now;
};

extern _Thread_local uint32_t this_cpu;
extern _Thread_local uint32_t this_context;
extern struct kernel kernel;

extern const struct xgl_pool_ops pool_ops;

struct xgl_pool *new_pool(void);
uint64_t now_ns(void *ctx);

void test_pool(struct xgl_pool *pool);
void test_threads(void);
void test_suspend(struct xgl_pool *pool);

#endif

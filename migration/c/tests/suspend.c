/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Whole suspends: restored, cancelled, failed in each step, withdrawn; the order of the steps is a journal. */
#include <stdarg.h>

#include "common.h"

static struct xgl_pool *pool;
static char journal[2048];
static char node[64];
static char reason[256];
static const char *fails;   /* the step that fails */
static int32_t fails_with;
static int64_t call_returns;
static int incarnations, transactions, conflicts;

static void note(const char *what) {
    CHECK(strlen(journal) + strlen(what) + 2 < sizeof journal);
    strcat(journal, what);
    strcat(journal, " ");
}

static int32_t step(const char *what) {
    note(what);
    return fails != NULL && strcmp(fails, what) == 0 ? fails_with : 0;
}

static int32_t step_back(const char *what, uint32_t how) {
    char text[40];
    snprintf(text, sizeof text, "%s:%u", what, how);
    return step(text);
}

/* The store: one node of interest, and where the reason goes. */
static int32_t store_read(void *ctx, uint32_t tx, const char *path, uint8_t *value, size_t size, size_t *len) {
    (void)ctx;
    CHECK(tx == 7);
    if (strcmp(path, "control/shutdown") != 0)
        return XGL_STORE_NOT_FOUND;
    *len = strlen(node);
    memcpy(value, node, *len < size ? *len : size);
    return 0;
}

static int32_t store_write(void *ctx, uint32_t tx, const char *path, const uint8_t *value, size_t len) {
    (void)ctx;
    if (strcmp(path, "control/shutdown") == 0) {
        CHECK(tx == 7 && len == 0);
        note("acknowledged");
        node[0] = 0;
        return 0;
    }
    if (strcmp(path, "data/suspend-failed") == 0) {
        CHECK(tx == 0 && len < sizeof reason);
        memcpy(reason, value, len);
        reason[len] = 0;
        return 0;
    }
    if (strncmp(path, "control/feature-", 16) == 0) {
        CHECK(len == 1 && value[0] == (strcmp(path, "control/feature-reboot") == 0 ? '0' : '1'));
        return 0;
    }
    return XGL_STORE_DENIED;
}

static int32_t store_start(void *ctx, uint32_t *tx) {
    (void)ctx;
    transactions++;
    *tx = 7;
    return 0;
}

static int32_t store_end(void *ctx, uint32_t tx, int32_t commit) {
    (void)ctx;
    CHECK(tx == 7);
    if (commit && conflicts > 0) {
        conflicts--;
        strcpy(node, "suspend");
        return XGL_STORE_AGAIN;
    }
    return 0;
}

static int32_t store_watch(void *ctx, const char *path, const char *token) {
    (void)ctx, (void)path, (void)token;
    return 0;
}

static const struct xgl_store store = {NULL, store_read, store_write, store_start, store_end, store_watch};

static void empty_and_closed(const struct xgl_proof *proof) {
    struct xgl_set set = {0, 0};
    EXPECT(xgl_proof_recheck(pool, proof, NULL), XGL_OK);
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_CLOSED);
}

static void entered(void *ctx, const char *phase, uint64_t since) {
    (void)ctx, (void)since;
    CHECK(strlen(phase) > 0);
}
static int32_t quiet(void *ctx, uint32_t stage, uint64_t deadline) {
    (void)ctx;
    CHECK(stage == XGL_STAGE_ALONE || deadline > now_ns(&kernel));
    return step(stage == 0 ? "quiet0" : stage == 1 ? "quiet1" : "quiet2");
}
static int32_t wake(void *ctx, uint32_t stage, uint32_t how) {
    (void)ctx;
    return step_back(stage == 0 ? "wake0" : stage == 1 ? "wake1" : "wake2", how);
}
static int32_t hold(void *ctx, uint64_t deadline) {
    (void)ctx, (void)deadline;
    return step("hold");
}
static void release(void *ctx, uint32_t how) {
    (void)ctx;
    step_back("release", how);
}
static int32_t park(void *ctx, uint64_t deadline) {
    int32_t result = step("park");
    (void)ctx, (void)deadline;
    if (result == 0)
        this_context |= XGL_INTERRUPTS_OFF;
    return result;
}
static int32_t unpark(void *ctx, uint32_t how, uint64_t deadline) {
    (void)ctx, (void)deadline;
    this_context &= ~(uint32_t)XGL_INTERRUPTS_OFF;
    return step_back("unpark", how);
}
static int32_t unlink_windows(void *ctx, const struct xgl_proof *proof) {
    (void)ctx;
    empty_and_closed(proof);
    return step("unlink");
}
static int32_t relink_windows(void *ctx, const struct xgl_proof *proof, uint32_t how) {
    (void)ctx;
    empty_and_closed(proof);
    return step_back("relink", how);
}
static int32_t audit(void *ctx, const struct xgl_proof *proof, uint64_t deadline) {
    (void)ctx, (void)deadline;
    empty_and_closed(proof);
    return step("audit");
}
static int32_t detach(void *ctx, const struct xgl_proof *proof, uint64_t deadline) {
    (void)ctx, (void)deadline;
    empty_and_closed(proof);
    return step("detach");
}
static int32_t reattach(void *ctx, uint32_t how) {
    (void)ctx;
    return step_back("reattach", how);
}
static int64_t suspend(void *ctx, const struct xgl_proof *proof) {
    (void)ctx;
    empty_and_closed(proof);
    note("CALL");
    return call_returns;
}
static int32_t incarnation(void *ctx, uint32_t *number) {
    (void)ctx;
    *number = (uint32_t)(incarnations++ > 0 && call_returns == 0);
    return 0;
}
static void lost(void *ctx, const char *what, int32_t number) {
    char text[64];
    (void)ctx;
    snprintf(text, sizeof text, "LOST(%s,%d)", what, number);
    note(text);
}
static int32_t reread(void *ctx, uint32_t how) {
    (void)ctx;
    return step_back("reread", how);
}

static const struct xgl_suspend_ops steps = {
    NULL,     entered, quiet,  wake,     hold,    release,     park, unpark, unlink_windows, relink_windows,
    audit,    detach,  reattach, suspend, incarnation, lost, reread,
};

static struct xgl_suspended came;

static enum xgl_error go(const char *failing, int32_t with, int64_t returns) {
    struct xgl_set set = {0, 0};
    enum xgl_error error;
    strcpy(node, "suspend");
    journal[0] = 0;
    reason[0] = 0;
    fails = failing;
    fails_with = with;
    call_returns = returns;
    incarnations = 0;
    /* Something to drain. */
    this_context |= XGL_INTERRUPTS_OFF;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
    this_context &= ~(uint32_t)XGL_INTERRUPTS_OFF;
    memset(&came, 0xff, sizeof came);
    error = xgl_suspend(pool, &steps, &store, NULL, &came);
    /* Whatever happened: interrupts are on, and the pool is open. */
    CHECK((this_context & XGL_INTERRUPTS_OFF) == 0);
    this_context |= XGL_INTERRUPTS_OFF;
    EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
    EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
    return error;
}

static void journal_is(const char *expected) {
    if (strcmp(journal, expected) != 0) {
        fprintf(stderr, "journal:  %s\nexpected: %s\n", journal, expected);
        exit(1);
    }
}

static void outcomes(void) {
    EXPECT(go(NULL, 0, 0), XGL_OK);
    CHECK(came.how == XGL_BACK_RESTORED && came.faults == 0 && came.step[0] == 0);
    journal_is("quiet0 acknowledged hold quiet1 park unlink audit quiet2 detach CALL reattach:2 wake2:2 relink:2 "
               "unpark:2 wake1:2 release:2 wake0:2 reread:2 ");
    EXPECT(go(NULL, 0, 1), XGL_OK);
    CHECK(came.how == XGL_BACK_CANCELLED);
    journal_is("quiet0 acknowledged hold quiet1 park unlink audit quiet2 detach CALL reattach:1 wake2:1 relink:1 "
               "unpark:1 wake1:1 release:1 wake0:1 reread:1 ");
    EXPECT(go(NULL, 0, -22), XGL_STEP);
    CHECK(came.how == XGL_BACK_FAILED && came.party == XGL_PARTY_XEN && came.number == -22);
    CHECK(strcmp(came.step, "suspend") == 0 && strstr(reason, "xen") != NULL);
}

static void failures(void) {
    EXPECT(go("audit", 5, 0), XGL_STEP);
    CHECK(came.party == XGL_PARTY_GUEST && came.number == 5 && strcmp(came.step, "audit") == 0);
    CHECK(strstr(came.message, "returned 5") != NULL && strstr(reason, "audit") != NULL);
    journal_is("quiet0 acknowledged hold quiet1 park unlink audit relink:0 unpark:0 wake1:0 release:0 wake0:0 "
               "reread:0 ");
    EXPECT(go("park", -16, 0), XGL_STEP);
    CHECK(came.party == XGL_PARTY_XEN && came.number == -16);
    journal_is("quiet0 acknowledged hold quiet1 park wake1:0 release:0 wake0:0 reread:0 ");
    /* What does not come back is named, and the rest does. */
    EXPECT(go("reattach:2", -14, 0), XGL_OK);
    CHECK(came.how == XGL_BACK_RESTORED && came.faults == 1 && came.number == -14);
    CHECK(came.party == XGL_PARTY_XEN && strstr(journal, "LOST(reattach,-14)") != NULL);
    CHECK(strstr(journal, "reread:2") != NULL);
    /* A set that cannot be destructed. */
    {
        struct xgl_set set = {0, 0};
        this_context |= XGL_INTERRUPTS_OFF;
        EXPECT(xgl_pool_get(pool, &set, NULL), XGL_OK);
        atomic_store(&kernel.stubborn, (unsigned)set.set);
        EXPECT(xgl_pool_put(pool, &set, NULL), XGL_OK);
        EXPECT(go(NULL, 0, 0), XGL_QUARANTINED);
        CHECK(strcmp(came.step, "drain") == 0 && came.number == 16);
        CHECK(strstr(journal, "CALL") == NULL);
        atomic_store(&kernel.stubborn, 0);
        EXPECT(xgl_pool_retry_quarantined(pool, NULL), XGL_OK);
    }
}

static void limits(void) {
    struct xgl_limits long_ones;
    struct xgl_suspend_ops lacking = steps;
    EXPECT(xgl_limits_default(NULL), XGL_NULL);
    EXPECT(xgl_limits_default(&long_ones), XGL_OK);
    CHECK(long_ones.until_suspended_ns == 50000 * MS && long_ones.transaction_tries == 16);
    long_ones.until_suspended_ns = 61000 * MS;
    strcpy(node, "suspend");
    EXPECT(xgl_suspend(pool, &steps, &store, &long_ones, NULL), XGL_LIMITS);
    CHECK(strcmp(node, "suspend") == 0);
    lacking.audit = NULL;
    EXPECT(xgl_suspend(pool, &lacking, &store, NULL, NULL), XGL_BAD_TABLE);
    EXPECT(xgl_suspend(pool, NULL, &store, NULL, NULL), XGL_NULL);
}

static void requests(void) {
    uint32_t request = 99, answer = 99, written = 0;
    uint32_t accepts = XGL_ACCEPT_SUSPEND | XGL_ACCEPT_POWEROFF;
    journal[0] = 0;
    strcpy(node, "suspend");
    EXPECT(xgl_shutdown_receive(&store, XGL_ACTIVITY_RUNNING, accepts, &request, &answer), XGL_OK);
    CHECK(request == XGL_REQUEST_SUSPEND && answer == XGL_ANSWER_OBEY && strcmp(node, "suspend") == 0);
    EXPECT(xgl_shutdown_receive(&store, XGL_ACTIVITY_SUSPENDING, accepts, &request, &answer), XGL_OK);
    CHECK(answer == XGL_ANSWER_DEFER);
    EXPECT(xgl_shutdown_receive(&store, 9, accepts, &request, &answer), XGL_BAD_NUMBER);
    strcpy(node, "reboot");
    EXPECT(xgl_shutdown_receive(&store, XGL_ACTIVITY_RUNNING, accepts, &request, &answer), XGL_OK);
    CHECK(request == XGL_REQUEST_REBOOT && answer == XGL_ANSWER_REFUSE && strcmp(node, "reboot") == 0);
    strcpy(node, "poweroff");
    EXPECT(xgl_shutdown_receive(&store, XGL_ACTIVITY_RUNNING, accepts, &request, &answer), XGL_OK);
    CHECK(request == XGL_REQUEST_POWEROFF && answer == XGL_ANSWER_OBEY && node[0] == 0);
    strcpy(node, "frobnicate");
    EXPECT(xgl_shutdown_receive(&store, XGL_ACTIVITY_RUNNING, accepts, &request, &answer), XGL_OK);
    CHECK(request == XGL_REQUEST_UNKNOWN && answer == XGL_ANSWER_REFUSE);
    EXPECT(xgl_shutdown_advertise(&store, accepts, &written), XGL_OK);
    CHECK(written == 3);
    /* A conflict is tried again, and without end it is an error. */
    strcpy(node, "suspend");
    transactions = 0;
    conflicts = 2;
    EXPECT(xgl_shutdown_receive(&store, XGL_ACTIVITY_RUNNING, accepts, &request, &answer), XGL_OK);
    CHECK(transactions == 3);
    conflicts = 1000;
    EXPECT(xgl_shutdown_receive(&store, XGL_ACTIVITY_RUNNING, accepts, &request, &answer), XGL_STORE);
    conflicts = 0;
}

static void withdrawn(void) {
    journal[0] = 0;
    node[0] = 0;
    fails = NULL;
    this_context &= ~(uint32_t)XGL_INTERRUPTS_OFF;
    EXPECT(xgl_suspend(pool, &steps, &store, NULL, &came), XGL_WITHDRAWN);
    CHECK(came.party == XGL_PARTY_TOOLSTACK);
    journal_is("quiet0 wake0:0 reread:0 ");
    this_context |= XGL_INTERRUPTS_OFF;
}

void test_suspend(struct xgl_pool *the_pool) {
    pool = the_pool;
    EXPECT(xgl_pool_cpu_online(pool), XGL_OK);
    outcomes();
    failures();
    limits();
    requests();
    withdrawn();
}

/* SPDX-License-Identifier: MIT OR Apache-2.0
 * See pv.h. */
#include "pv.h"
#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#define BASE 0xffffffff80000000ul /* XEN_ELFNOTE_VIRT_BASE: frame 0 is seen here */
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELEASE)

extern char hypercall_page[], trap_with_code[], trap_without_code[];

start_info_t *info;
volatile union shared shared __attribute__((aligned(PAGE)));
int asked;
static struct xencons_interface *console;
static struct xenstore_domain_interface *ring;

long hypercall(unsigned nr, uint64_t a, const volatile void *b, uint64_t c, uint64_t d) {
    register uint64_t fourth __asm__("r10") = d;
    long result;
    __asm__ volatile("call *%[stub]"
                     : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(fourth)
                     : [stub] "r"(hypercall_page + nr * 32) : "rcx", "r11", "memory");
    return result;
}

/* A restore writes the list anew. */
uint64_t pfn(const volatile void *at) { return ((uint64_t)at - BASE) / PAGE; }
uint64_t mfn(const volatile void *at) { return ((uint64_t *)info->mfn_list)[pfn(at)]; }
uint64_t entry(const volatile void *page, uint64_t flags) { return mfn(page) * PAGE | flags; }

long map(const volatile void *at, uint64_t bits) {
    return hypercall(__HYPERVISOR_update_va_mapping, (uint64_t)at, (void *)bits, UVMF_INVLPG, 0);
}

long write_entry(const uint64_t *slot, uint64_t bits) {
    struct mmu_update update = {mfn(slot) * PAGE | (uint64_t)slot % PAGE | MMU_NORMAL_PT_UPDATE, bits};
    return hypercall(__HYPERVISOR_mmu_update, (uint64_t)&update, (void *)1, 0, DOMID_SELF);
}

long table(unsigned command, const void *page) {
    struct mmuext_op op = {.cmd = command, .arg1.mfn = page ? mfn(page) : 0};
    return hypercall(__HYPERVISOR_mmuext_op, (uint64_t)&op, (void *)1, 0, DOMID_SELF);
}

long end(unsigned reason) {
    struct sched_shutdown how = {reason};
    return hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &how, mfn(info), 0);
}

static void notify(evtchn_port_t port) {
    struct evtchn_send event = {port};
    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &event, 0, 0);
}

/* What does not fit while dom0 reads nothing is lost: a suspend must not wait for a reader. */
void put(const char *text) {
    if (!console) { /* Xen's own log, if it lets a guest */
        hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, (void *)__builtin_strlen(text), (uint64_t)text, 0);
        return;
    }
    uint32_t at = console->out_prod;
    for (int tries = 0; *text && tries < 1000;) {
        if (at - LOAD(console->out_cons) < sizeof console->out) {
            console->out[MASK_XENCONS_IDX(at++, console->out)] = *text++;
            continue;
        }
        STORE(console->out_prod, at);
        notify(info->console.domU.evtchn);
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, NULL, 0, 0);
        tries++;
    }
    STORE(console->out_prod, at);
    notify(info->console.domU.evtchn);
}

void say(const char *before, uint64_t number, const char *after) {
    char digits[24], *at = digits + sizeof digits;
    *--at = 0;
    do
        *--at = '0' + number % 10;
    while (number /= 10);
    put(before);
    put(at);
    put(after);
    put("\n");
}

_Noreturn void die(const char *why, long number) {
    say(why, number < 0 ? -number : number, number < 0 ? ", which Xen gave" : "");
    for (;;)
        end(SHUTDOWN_crash);
}

_Noreturn void trapped(uint64_t rip, uint64_t code) {
    say("an exception, so far behind the kernel's base: ", rip - BASE, "");
    die("the kernel crashes; the exception's code is ", code);
}

static uint64_t stopped, offset;

static uint64_t xen_time(void) {
    const volatile struct vcpu_time_info *time = &shared.info.vcpu_info[0].time;
    uint32_t version, low, high;
    uint64_t ns;
    do {
        version = time->version;
        __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
        ns = ((uint64_t)high << 32 | low) - time->tsc_timestamp;
        ns = time->tsc_shift < 0 ? ns >> -time->tsc_shift : ns << time->tsc_shift;
        ns = time->system_time + (uint64_t)((unsigned __int128)ns * time->tsc_to_system_mul >> 32);
    } while (version & 1 || version != time->version);
    return ns;
}

uint64_t now(void *ctx) {
    return stopped ? stopped : xen_time() + offset;
}

void stop_clock(void) { stopped = now(NULL); }
int clock_stands(void) { return stopped != 0; }

/* Another host's time may be an earlier one. */
void start_clock(void) {
    offset = stopped - xen_time();
    stopped = 0;
}

/* Until something comes from xenstored, or for a tenth of a second. No event has a handler here. */
static void wait_for_store(void) {
    evtchn_port_t port = info->store_evtchn;
    struct sched_poll poll = {.nr_ports = 1, .timeout = xen_time() + SECOND / 10};
    set_xen_guest_handle(poll.ports, &port);
    hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll, 0, 0);
    __atomic_fetch_and(&shared.info.evtchn_pending[port / 64], ~(1ul << port % 64), __ATOMIC_SEQ_CST);
}

/* Sends bytes to xenstored (`out`), or takes them; 0 if it does not come to that before the deadline. */
static int move(void *bytes, size_t len, int out, uint64_t deadline) {
    uint32_t *mine = out ? &ring->req_prod : &ring->rsp_cons;
    uint32_t *its = out ? &ring->req_cons : &ring->rsp_prod;
    for (char *byte = bytes; len > 0;) {
        uint32_t there = out ? XENSTORE_RING_SIZE - (*mine - LOAD(*its)) : LOAD(*its) - *mine;
        if (there > XENSTORE_RING_SIZE || (there == 0 && now(NULL) > deadline)) {
            put(there ? "xenstored's index into the ring is none\n" : "xenstored does not answer\n");
            return 0;
        }
        if (there == 0) {
            notify(info->store_evtchn);
            wait_for_store();
            continue;
        }
        char *place = (out ? ring->req : ring->rsp) + MASK_XENSTORE_IDX(*mine);
        if (out)
            *place = *byte++;
        else
            *byte++ = *place;
        STORE(*mine, *mine + 1);
        len--;
    }
    return 1;
}

static char reply[XENSTORE_PAYLOAD_MAX + 1];

static int receive(struct xsd_sockmsg *message, uint64_t deadline) {
    if (!move(message, sizeof *message, 0, deadline) || message->len > XENSTORE_PAYLOAD_MAX ||
        !move(reply, message->len, 0, deadline))
        return 0;
    reply[message->len] = 0;
    asked |= message->type == XS_WATCH_EVENT;
    notify(info->store_evtchn);
    return 1;
}

/* A request of two parts. Its answer is in `reply`, `*len` bytes long. A late answer to another is dropped. */
static int32_t ask(uint32_t type, uint32_t tx, const void *a, size_t a_len, const void *b, size_t b_len,
                   size_t *len) {
    static uint32_t id;
    struct xsd_sockmsg message = {type, ++id, tx, a_len + b_len};
    uint64_t deadline = now(NULL) + 10 * SECOND;
    if (!move(&message, sizeof message, 1, deadline) || !move((void *)a, a_len, 1, deadline) ||
        !move((void *)b, b_len, 1, deadline))
        return XGL_STORE_TIMED_OUT;
    notify(info->store_evtchn);
    do
        if (!receive(&message, deadline))
            return XGL_STORE_TIMED_OUT;
    while (message.type == XS_WATCH_EVENT || message.req_id != id);
    *len = message.len;
    return message.type == XS_ERROR ? xgl_store_error(reply) : 0;
}

#define WITH_NUL(text) text, __builtin_strlen(text) + 1

static int32_t store_read(void *ctx, uint32_t tx, const char *path, uint8_t *value, size_t size, size_t *len) {
    int32_t error = ask(XS_READ, tx, WITH_NUL(path), NULL, 0, len);
    if (!error)
        memcpy(value, reply, *len < size ? *len : size);
    return error;
}

static int32_t store_write(void *ctx, uint32_t tx, const char *path, const uint8_t *value, size_t len) {
    return ask(XS_WRITE, tx, WITH_NUL(path), value, len, &len);
}

static int32_t store_start(void *ctx, uint32_t *tx) {
    size_t len;
    int32_t error = ask(XS_TRANSACTION_START, 0, "", 1, NULL, 0, &len);
    *tx = 0;
    for (const char *digit = reply; !error && *digit >= '0' && *digit <= '9'; digit++)
        *tx = *tx * 10 + (uint32_t)(*digit - '0');
    return error;
}

static int32_t store_end(void *ctx, uint32_t tx, int32_t commit) {
    size_t len;
    return ask(XS_TRANSACTION_END, tx, commit ? "T" : "F", 2, NULL, 0, &len);
}

static int32_t store_watch(void *ctx, const char *path, const char *token) {
    size_t len;
    return ask(XS_WATCH, 0, WITH_NUL(path), WITH_NUL(token), &len);
}

const struct xgl_store store = {NULL, store_read, store_write, store_start, store_end, store_watch};

void store_idle(void) {
    struct xsd_sockmsg message;
    for (int tenths = 0; tenths < 10; tenths++)
        if (LOAD(ring->rsp_prod) == ring->rsp_cons)
            wait_for_store();
        else if (receive(&message, now(NULL) + 10 * SECOND) && asked)
            return;
}

/* The kernel's page on a machine frame. */
static void *page_of(uint64_t frame) {
    for (uint64_t at = 0; at < info->nr_pages; at++)
        if (((uint64_t *)info->mfn_list)[at] == frame)
            return (void *)(BASE + at * PAGE);
    return NULL;
}

void pv_publish(void) {
    static page_t list, lists;
    uint64_t pages = (info->nr_pages * 8 + PAGE - 1) / PAGE;
    if (pages > 512)
        die("a list for 1 GiB is all that this kernel can publish, in pages: ", 512);
    for (uint64_t n = 0; n < pages; n++)
        list[n] = mfn((char *)info->mfn_list + n * PAGE);
    lists[0] = mfn(list);
    shared.info.arch.max_pfn = info->nr_pages;
    shared.info.arch.pfn_to_mfn_frame_list_list = mfn(lists);
}

void pv_hand_over(void) {
    info->store_mfn = pfn(ring);
    info->console.domU.mfn = pfn(console);
}

void pv_take_back(void) {
    info->store_mfn = mfn(ring);
    info->console.domU.mfn = mfn(console);
}

void pv_begin(start_info_t *from_xen) {
    static struct trap_info traps[21]; /* the last is empty: the end */
    info = from_xen;
    console = page_of(info->console.domU.mfn);
    ring = page_of(info->store_mfn);
    if (!console || !ring)
        die("the toolstack gave no console or no xenstore, whose frame would be ", (long)info->store_mfn);
    for (uint8_t vector = 0; vector < 20; vector++) {
        int code = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
        traps[vector] = (struct trap_info){vector, 4, FLAT_KERNEL_CS,
                                           (unsigned long)(code ? trap_with_code : trap_without_code)};
    }
    long bad = hypercall(__HYPERVISOR_set_trap_table, (uint64_t)traps, NULL, 0, 0);
    if (!bad)
        bad = map(&shared, info->shared_info | WRITE);
    if (bad)
        die("traps and shared-info cannot be set up: ", bad);
    pv_publish();
}

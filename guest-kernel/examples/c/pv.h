/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What a PV kernel has before it takes up the library: hypercalls, frames, console, clock, a xenstore client. */
#ifndef PV_H
#define PV_H

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include "xen_guest.h"

#define PAGE 4096ul
#define READ 5ul  /* an entry: present, user, for a PV kernel runs in ring 3 */
#define WRITE 7ul /* the same, writable */
#define SECOND 1000000000ul

typedef uint64_t page_t[512] __attribute__((aligned(PAGE)));

void *memcpy(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

extern start_info_t *info;
/* The shared-info page is mapped over it. */
extern volatile union shared { shared_info_t info; page_t page; } shared;
/* A watch has fired. */
extern int asked;
extern const struct xgl_store store;

/* 0 or more; or Xen's error, below 0. */
long hypercall(unsigned nr, uint64_t a, const volatile void *b, uint64_t c, uint64_t d);
uint64_t pfn(const volatile void *at);
uint64_t mfn(const volatile void *at);
/* A page-table entry for a page of the kernel's. */
uint64_t entry(const volatile void *page, uint64_t flags);
/* Changes how a page of the kernel's is mapped. */
long map(const volatile void *at, uint64_t bits);
/* Changes an entry of a page that Xen holds as a page table. */
long write_entry(const uint64_t *slot, uint64_t bits);
/* An MMUEXT_... operation; `page` may be null. */
long table(unsigned command, const void *page);
/* SHUTDOWN_...; comes back from a suspend only. */
long end(unsigned reason);

void put(const char *text);
void say(const char *before, uint64_t number, const char *after);
/* The domain's end, as crashed. A number below 0 is Xen's. */
_Noreturn void die(const char *why, long number);

/* Nanoseconds, which never go back. The clock stands still while the shared-info page is not mapped. */
uint64_t now(void *ctx);
void stop_clock(void);
void start_clock(void);
int clock_stands(void);

/* Finds what the builder made, and sets up traps. */
void pv_begin(start_info_t *from_xen);
/* Rings and list as the tools want to find them (PFNs), or as the kernel needs them. */
void pv_hand_over(void);
void pv_take_back(void);
/* Says where the physical-to-machine list is: at boot and in each new domain. */
void pv_publish(void);
/* Takes in what xenstored sends, for a second. */
void store_idle(void);

#endif

/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Where Xen enters the guest in C, and what the domain builder reads of it. */
#include <xen/elfnote.h>

.macro note type, kind, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 3f - 2f, \type
    .asciz "Xen"
2:  \kind \value
3:  .balign 4
    .popsection
.endm

note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
note XEN_ELFNOTE_GUEST_OS, .asciz, "xen-guest-c"
note XEN_ELFNOTE_LOADER, .asciz, "generic"
note XEN_ELFNOTE_VIRT_BASE, .quad, 0xffffffff80000000
note XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
note XEN_ELFNOTE_ENTRY, .quad, start
note XEN_ELFNOTE_HYPERCALL_PAGE, .quad, hypercall_page

/* 64-bit, paging on, rsi = start_info; the builder's stack has one page ("Start-of-day memory layout", xen.h). */
.section .text.boot, "ax"
.globl start
start:
    cld
    leaq stack_end(%rip), %rsp
    movq %rsi, %rdi
    xorl %ebp, %ebp
    call kernel
    ud2

/* Exceptions, of which this kernel has none that it survives: rdi = rip, rsi = the error code. Xen leaves rcx and
 * r11 on top of what the processor would leave. */
.globl trap_with_code, trap_without_code
trap_without_code:
    movq 16(%rsp), %rdi
    xorl %esi, %esi
    jmp 1f
trap_with_code:
    movq 16(%rsp), %rsi
    movq 24(%rsp), %rdi
1:  andq $-16, %rsp
    call trapped
    ud2

/* Xen fills it in. */
.section .text.hypercall_page, "ax"
.balign 4096
.globl hypercall_page
hypercall_page:
    .skip 4096

.section .bss
.balign 4096
    .skip 32768
stack_end:

.section .note.GNU-stack, "", @progbits

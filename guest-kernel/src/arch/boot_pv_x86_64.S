
/* The entry under PV (xen/include/public/xen.h, "Start-of-day memory layout"):
 * 64-bit, paging on, rsi = start_info, rsp = the end of the boot stack. */
.section .text.boot, "ax"
.code64
.globl pv_start
.globl pv_ap_start
pv_start:
    cld
    movq %rsp, %rdx                     /* argument 3: the boot stack's end */
    leaq first_stack(%rip), %rsp
    addq $0x7ff0, %rsp                  /* STACK_SIZE of areas.rs, but for the number; argument 2 is there already */
    xorl %edi, %edi                     /* argument 1: vCPU number */
    xorl %ebp, %ebp
    pushq $0                            /* keeps the ABI's alignment at the call */
    pushq $0
    call pv_entry
    ud2
/* Every other vCPU: on its own stack, rdi = its number. */
pv_ap_start:
    cld
    xorl %esi, %esi
    xorl %edx, %edx
    xorl %ebp, %ebp
    pushq $0
    pushq $0
    call pv_entry
    ud2

.section .text
/* Xen leaves rcx and r11 on top of what the CPU would leave, because its way
 * back into the guest loses them. */
.macro PV_STUB vector, has_error
    popq %rcx
    popq %r11
    STUB \vector, \has_error
.endm
.globl pv_trap_stubs
.globl pv_event_callback
.globl pv_failsafe_callback
.altmacro
.balign 16
pv_trap_stubs:
    STUBS PV_STUB, 32
pv_event_callback:
    PV_STUB 0xf3, 0
pv_failsafe_callback:
    PV_STUB 0xfe, 0
.noaltmacro

/* Reads a word that may not be mapped: all ones then. The trap handler knows
 * both symbols. */
.globl load_or_ones
.globl load_gave_ones
load_or_ones:
    movq (%rdi), %rax
    ret
load_gave_ones:
    movq $-1, %rax
    ret

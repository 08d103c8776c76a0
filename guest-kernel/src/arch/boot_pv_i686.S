
/* The entry under PV (xen/include/public/xen.h, "Start-of-day memory layout"):
 * paging on, esi = start_info, esp = the end of the boot stack. */
.section .text.boot, "ax"
.globl pv_start
.globl pv_ap_start
pv_start:
    cld
    movl %esp, %eax
    leal first_stack, %esp
    addl $0x7ff0, %esp                  /* STACK_SIZE of areas.rs, but for the number */
    xorl %ebp, %ebp
    pushl $0                            /* keeps the ABI's alignment at the call */
    pushl %eax                          /* argument 3: the boot stack's end */
    pushl %esi                          /* argument 2: start_info */
    pushl $0                            /* argument 1: vCPU number */
    call pv_entry
    ud2
/* Every other vCPU: on its own stack, edi = its number. */
pv_ap_start:
    cld
    xorl %ebp, %ebp
    pushl $0
    pushl $0
    pushl $0
    pushl %edi
    call pv_entry
    ud2

.section .text
/* Xen leaves on the stack what the CPU would leave: the stubs are those of PVH,
 * and one more. */
.globl pv_trap_stubs
.globl pv_event_callback
.globl pv_failsafe_callback
.set pv_trap_stubs, trap_stubs
.set pv_event_callback, trap_stubs + 0xf3 * 16
pv_failsafe_callback:
    STUB 0xfe, 0

/* Reads a word that may not be mapped: all ones then. The trap handler knows
 * both symbols. */
.globl load_or_ones
.globl load_gave_ones
load_or_ones_prologue:
    movl 4(%esp), %eax
load_or_ones:
    movl (%eax), %eax
    ret
load_gave_ones:
    movl $-1, %eax
    ret
.globl load_or_ones_prologue

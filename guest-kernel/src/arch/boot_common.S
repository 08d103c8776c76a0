/* What both word sizes share before paging is on: the entry under PVH
 * (docs/misc/pvh.pandoc in Xen: flat 32-bit protected mode, paging off, ebx
 * holds the physical address of hvm_start_info) and the entry of every other
 * vCPU, which VCPUOP_initialise starts in the same mode with its number in ebx.
 *
 * From here: ebp = the vCPU's number, ebx = the start_info of vCPU 0, esi = the physical address
 * at which its stack begins, which every other vCPU brings. */
.section .text.boot, "ax"
.code32
.globl pvh_start
.globl ap_start
pvh_start:
    cld
    xorl %ebp, %ebp
    movl $(first_stack - KERNEL_BASE + 0x7ff0), %esi    /* STACK_SIZE of areas.rs, but for the number */
    jmp enter_paging
ap_start:
    cld
    movl %ebx, %ebp
    xorl %ebx, %ebx

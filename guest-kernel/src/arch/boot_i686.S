.set KERNEL_BASE, 0xC0000000

enter_paging:
    lgdt (boot_gdt_pointer - KERNEL_BASE)
    movl %cr4, %eax
    orl $0x20, %eax                     /* CR4.PAE */
    movl %eax, %cr4
    movl $(boot_l3 - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax               /* CR0.PG, CR0.WP */
    movl %eax, %cr0
    ljmp $0x08, $enter_high
enter_high:
    lgdt high_gdt_pointer
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    leal KERNEL_BASE(%esi), %esp
    lidt idt_pointer                    /* vCPU 0 fills the table first of all */
    movl %ebp, %ecx
    xorl %ebp, %ebp
    pushl $0                            /* keeps the ABI's alignment at the call */
    pushl $0
    pushl %ebx                          /* argument 2: start_info */
    pushl %ecx                          /* argument 1: vCPU number */
    call pvh_entry
    ud2

.section .rodata.boot_gdt, "a"
.balign 8
boot_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            /* 0x08: code */
    .quad 0x00cf93000000ffff            /* 0x10: data */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt - KERNEL_BASE
high_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
idt_pointer:
    .word 256 * 8 - 1
    .long idt

/* The tables a vCPU enters paging on: physical 0..768 MiB at 0 and at
 * KERNEL_BASE, and the fixmap. Every vCPU leaves them for its own in Rust. */
.section .data.boot_tables, "aw"
.balign 4096
boot_l2:
    .set frame, 0
    .rept 384
    .long (frame << 21) + 0x83
    .long 0
    .set frame, frame + 1
    .endr
    .long fixmap_l1 - KERNEL_BASE + 3   /* FIXMAP_SLOT of layout.rs: for the console's ring */
    .long 0
    .skip 127 * 8
.balign 32
boot_l3:
    .long boot_l2 - KERNEL_BASE + 1, 0
    .long 0, 0
    .long 0, 0
    .long boot_l2 - KERNEL_BASE + 1, 0

.section .text
/* Where every trap stub (boot_stubs.S) goes on. */
trap_common:
    pushl %eax
    pushl %ebx
    pushl %ecx
    pushl %edx
    pushl %esi
    pushl %edi
    pushl %ebp
    cld
    movl %esp, %eax
    movl %esp, %ebx
    andl $-16, %esp
    subl $12, %esp
    pushl %eax
    call trap_entry
    movl %ebx, %esp
    popl %ebp
    popl %edi
    popl %esi
    popl %edx
    popl %ecx
    popl %ebx
    popl %eax
    addl $8, %esp
    cmpb $0, IS_PV
    jne 1f
    iretl
1:  jmp hypercall_page + 23 * 32        /* __HYPERVISOR_iret, which restores the event mask as well */

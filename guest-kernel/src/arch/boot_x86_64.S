.set KERNEL_BASE, 0xffffffff80000000

enter_paging:
    movl %cr4, %eax
    orl $0x20, %eax                     /* CR4.PAE */
    movl %eax, %cr4
    movl $(boot_l4 - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx              /* EFER */
    rdmsr
    orl $0x100, %eax                    /* EFER.LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80010000, %eax               /* CR0.PG, CR0.WP */
    movl %eax, %cr0
    lgdt (boot_gdt_pointer - KERNEL_BASE)
    ljmp $0x18, $(enter_long - KERNEL_BASE)

.code64
enter_long:
    movabsq $enter_high, %rax
    jmp *%rax
enter_high:
    lgdt high_gdt_pointer(%rip)
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl %esi, %esi                     /* the upper half counts from here on */
    leaq KERNEL_BASE(%rsi), %rsp
    movl %ebp, %edi                     /* argument 1: vCPU number */
    movl %ebx, %esi                     /* argument 2: start_info */
    lidt idt_pointer(%rip)              /* vCPU 0 fills the table first of all */
    xorl %ebp, %ebp
    pushq $0                            /* keeps the ABI's alignment at the call */
    pushq $0
    call pvh_entry
    ud2

.section .rodata.boot_gdt, "a"
.balign 8
boot_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            /* 0x08: 32-bit code */
    .quad 0x00cf93000000ffff            /* 0x10: data */
    .quad 0x00af9b000000ffff            /* 0x18: 64-bit code */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt - KERNEL_BASE
high_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt
idt_pointer:
    .word 256 * 16 - 1
    .quad idt

/* The tables a vCPU enters paging on: physical 0..768 MiB at 0 and at
 * KERNEL_BASE, and the fixmap. Every vCPU leaves them for its own in Rust. */
.section .data.boot_tables, "aw"
.balign 4096
boot_l4:
    .quad boot_l3_low - KERNEL_BASE + 3
    .skip 510 * 8
    .quad boot_l3_high - KERNEL_BASE + 3
boot_l3_low:
    .quad boot_l2 - KERNEL_BASE + 3
    .skip 511 * 8
boot_l3_high:
    .skip 510 * 8
    .quad boot_l2 - KERNEL_BASE + 3
    .skip 8
boot_l2:
    .set frame, 0
    .rept 384
    .quad (frame << 21) + 0x83
    .set frame, frame + 1
    .endr
    .quad fixmap_l1 - KERNEL_BASE + 3   /* FIXMAP_SLOT of layout.rs: for the console's ring */
    .skip 127 * 8

.section .text
/* Where every trap stub (boot_stubs.S) goes on. */
trap_common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    movq %rsp, %rbx
    andq $-16, %rsp
    call trap_entry
    movq %rbx, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    cmpb $0, IS_PV(%rip)
    jne 1f
    iretq
1:  pushq $0                            /* no VGCF_in_syscall: Xen restores rcx and r11 too */
    jmp hypercall_page + 23 * 32        /* __HYPERVISOR_iret, which restores the event mask as well */

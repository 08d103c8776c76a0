
/* Trap stubs, each aligned to 16 bytes and no longer (STUB_BYTES in traps.rs):
 * one for each exception, in the order of the vectors, then those of the
 * interrupts. Each leaves vector and error code on the stack in the shape of
 * TrapFrame. */
.section .text
.macro STUB vector, has_error
    .if \has_error == 0
    push $0
    .endif
    push $\vector
    jmp trap_common
.balign 16
.endm

/* The exceptions' part of a table of such stubs. */
.macro EXCEPTION_STUBS stub
.set vector, 0
.rept 32
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    \stub %vector, 1
    .else
    \stub %vector, 0
    .endif
    .set vector, vector + 1
.endr
.endm

.altmacro
.balign 16
.globl trap_stubs
.globl upcall_stub
.globl spurious_stub
trap_stubs:
    EXCEPTION_STUBS STUB
upcall_stub:
    STUB 0xf3, 0
spurious_stub:
    STUB 0xff, 0
.noaltmacro

/* Trap stubs, each aligned to 16 bytes and no longer (STUB_BYTES in traps.rs):
 * one for each vector, in their order. Each leaves vector and error code on
 * the stack in the shape of TrapFrame. */
.section .text
.macro STUB vector, has_error
    .if \has_error == 0
    push $0
    .endif
    push $\vector
    jmp trap_common
.balign 16
.endm

/* A table of such stubs, for vectors 0 to count - 1. */
.macro STUBS stub, count
.set vector, 0
.rept \count
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
trap_stubs:
    STUBS STUB, 256
.noaltmacro

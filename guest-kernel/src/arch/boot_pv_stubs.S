
.altmacro
.balign 16
.globl pv_trap_stubs
pv_trap_stubs:
.set vector, 0
.rept 32
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    PV_STUB %vector, 1
    .else
    PV_STUB %vector, 0
    .endif
    .set vector, vector + 1
.endr
.globl pv_event_callback
.globl pv_failsafe_callback
    PV_STUB 0xf3, 0
.set pv_event_callback, pv_trap_stubs + 32 * 16
    PV_STUB 0xfe, 0
.set pv_failsafe_callback, pv_trap_stubs + 33 * 16
.noaltmacro

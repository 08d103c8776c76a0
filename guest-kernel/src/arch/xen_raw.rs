//! Temporary direct hypercalls until the safe layer is in.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, AtomicU8, AtomicU32, Ordering};
use xen_bindings::{ffi, hypercall as hc, Call, HypercallError, Subject};
use crate::paging::layout::KERNEL_BASE;

#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; 4096]>);
unsafe impl Sync for Page {}
static SHARED: Page = Page(UnsafeCell::new([0; 4096]));
fn si() -> *mut ffi::shared_info { SHARED.0.get().cast() }
const DOMID_SELF: u16 = 0x7ff0;
type R<T> = Result<T, HypercallError>;
fn op<const NR: u32, T>(name: &'static str, s: Subject, cmd: u32, arg: &mut T) -> R<usize> {
    let r = unsafe { hc::hypercall2::<NR>(cmd as usize, arg as *mut T as usize) };
    Call::on(name, s).check(r)
}
fn vop<T>(name: &'static str, cmd: u32, vcpu: usize, arg: *mut T) -> R<usize> {
    let r = unsafe { hc::hypercall3::<{ ffi::__HYPERVISOR_vcpu_op }>(cmd as usize, vcpu, arg as usize) };
    Call::on(name, Subject::Vcpu(vcpu as u32)).check(r)
}
pub fn set_param(index: u32, value: u64, name: &'static str) -> R<()> {
    let mut p = ffi::xen_hvm_param { domid: DOMID_SELF, pad: 0, index, value };
    op::<{ ffi::__HYPERVISOR_hvm_op }, _>("HVMOP_set_param", Subject::Name(name), ffi::HVMOP_set_param, &mut p).map(drop)
}
pub fn get_param(index: u32, name: &'static str) -> R<u64> {
    let mut p = ffi::xen_hvm_param { domid: DOMID_SELF, pad: 0, index, value: 0 };
    op::<{ ffi::__HYPERVISOR_hvm_op }, _>("HVMOP_get_param", Subject::Name(name), ffi::HVMOP_get_param, &mut p)?;
    Ok(p.value)
}
pub fn map_shared_info() -> R<()> {
    let gfn = (SHARED.0.get() as usize - KERNEL_BASE) >> 12;
    let mut a = ffi::xen_add_to_physmap { domid: DOMID_SELF, size: 0, space: ffi::XENMAPSPACE_shared_info, idx: 0, gpfn: gfn as _ };
    op::<{ ffi::__HYPERVISOR_memory_op }, _>("XENMEM_add_to_physmap", Subject::Gfn(gfn as u64), ffi::XENMEM_add_to_physmap, &mut a).map(drop)
}
pub fn set_upcall_vector(vcpu: usize, vector: u8) -> R<()> {
    let mut a = ffi::xen_hvm_evtchn_upcall_vector { vcpu: vcpu as u32, vector };
    op::<{ ffi::__HYPERVISOR_hvm_op }, _>("HVMOP_set_evtchn_upcall_vector", Subject::Vcpu(vcpu as u32), ffi::HVMOP_set_evtchn_upcall_vector, &mut a).map(drop)
}
pub fn bind_timer(vcpu: usize) -> R<u32> {
    let mut a = ffi::evtchn_bind_virq { virq: ffi::VIRQ_TIMER, vcpu: vcpu as u32, port: 0 };
    op::<{ ffi::__HYPERVISOR_event_channel_op }, _>("EVTCHNOP_bind_virq", Subject::Vcpu(vcpu as u32), ffi::EVTCHNOP_bind_virq, &mut a)?;
    Ok(a.port)
}
pub fn bind_ipi(vcpu: usize) -> R<u32> {
    let mut a = ffi::evtchn_bind_ipi { vcpu: vcpu as u32, port: 0 };
    op::<{ ffi::__HYPERVISOR_event_channel_op }, _>("EVTCHNOP_bind_ipi", Subject::Vcpu(vcpu as u32), ffi::EVTCHNOP_bind_ipi, &mut a)?;
    Ok(a.port)
}
pub fn close(port: u32) -> R<()> { let mut a = ffi::evtchn_close { port }; op::<{ ffi::__HYPERVISOR_event_channel_op }, _>("EVTCHNOP_close", Subject::Port(port), ffi::EVTCHNOP_close, &mut a).map(drop) }
pub fn send(port: u32) -> R<()> { let mut a = ffi::evtchn_send { port }; op::<{ ffi::__HYPERVISOR_event_channel_op }, _>("EVTCHNOP_send", Subject::Port(port), ffi::EVTCHNOP_send, &mut a).map(drop) }
pub fn unmask(port: u32) -> R<()> { let mut a = ffi::evtchn_unmask { port }; op::<{ ffi::__HYPERVISOR_event_channel_op }, _>("EVTCHNOP_unmask", Subject::Port(port), ffi::EVTCHNOP_unmask, &mut a).map(drop) }
pub fn vcpu_up(v: usize) -> R<()> { vop::<u8>("VCPUOP_up", ffi::VCPUOP_up, v, core::ptr::null_mut()).map(drop) }
pub fn vcpu_down(v: usize) -> R<()> { vop::<u8>("VCPUOP_down", ffi::VCPUOP_down, v, core::ptr::null_mut()).map(drop) }
pub fn vcpu_is_up(v: usize) -> R<bool> { vop::<u8>("VCPUOP_is_up", ffi::VCPUOP_is_up, v, core::ptr::null_mut()).map(|r| r != 0) }
pub fn vcpu_initialise(v: usize, eip: u32) -> R<()> {
    let mut r: ffi::vcpu_hvm_x86_32 = unsafe { core::mem::zeroed() };
    r.eip = eip; r.ebx = v as u32; r.cr0 = 1; r.eflags = 2;
    r.cs_limit = !0; r.ds_limit = !0; r.ss_limit = !0; r.es_limit = !0; r.tr_limit = 0x67;
    r.cs_ar = 0xc9b; r.ds_ar = 0xc93; r.ss_ar = 0xc93; r.es_ar = 0xc93; r.tr_ar = 0x8b;
    let mut c = ffi::vcpu_hvm_context { mode: ffi::VCPU_HVM_MODE_32B, pad: 0, cpu_regs: ffi::vcpu_hvm_context__bindgen_ty_1 { x86_32: r } };
    vop("VCPUOP_initialise", ffi::VCPUOP_initialise, v, &mut c).map(drop)
}
pub fn set_timer(v: usize, at: u64) -> R<()> {
    let mut t = ffi::vcpu_set_singleshot_timer { timeout_abs_ns: at, flags: 0 };
    vop("VCPUOP_set_singleshot_timer", ffi::VCPUOP_set_singleshot_timer, v, &mut t).map(drop)
}
pub fn stop_timer(v: usize) -> R<()> { vop::<u8>("VCPUOP_stop_singleshot_timer", ffi::VCPUOP_stop_singleshot_timer, v, core::ptr::null_mut()).map(drop) }
pub fn yield_cpu() { let _ = unsafe { hc::hypercall2::<{ ffi::__HYPERVISOR_sched_op }>(ffi::SCHEDOP_yield as usize, 0) }; }
pub fn shutdown(reason: u32) -> isize { let mut s = ffi::sched_shutdown { reason }; unsafe { hc::hypercall2::<{ ffi::__HYPERVISOR_sched_op }>(ffi::SCHEDOP_shutdown as usize, &mut s as *mut _ as usize) } }
pub fn mask_all() { let n = size_of_val(unsafe { &(*si()).evtchn_mask }) / size_of::<usize>(); for i in 0..n { unsafe { (&raw mut (*si()).evtchn_mask).cast::<usize>().add(i).write_volatile(!0) } } }
fn at<T>(p: *mut T) -> *mut T { p }
pub fn take_pending(me: usize, mut each: impl FnMut(u32)) {
    unsafe {
        let v = &raw mut (*si()).vcpu_info[me];
        let pend = AtomicU8::from_ptr(at((&raw mut (*v).evtchn_upcall_pending).cast()));
        let sel = AtomicUsize::from_ptr((&raw mut (*v).evtchn_pending_sel).cast());
        while pend.swap(0, Ordering::SeqCst) != 0 {
            let mut words = sel.swap(0, Ordering::SeqCst);
            while words != 0 {
                let w = words.trailing_zeros() as usize; words &= words - 1;
                let p = AtomicUsize::from_ptr((&raw mut (*si()).evtchn_pending).cast::<usize>().add(w));
                let m = (&raw const (*si()).evtchn_mask).cast::<usize>().add(w).read_volatile();
                let mut bits = p.load(Ordering::SeqCst) & !m;
                while bits != 0 {
                    let b = bits.trailing_zeros() as usize; bits &= bits - 1;
                    p.fetch_and(!(1 << b), Ordering::SeqCst);
                    each((w * usize::BITS as usize + b) as u32);
                }
            }
        }
    }
}
pub fn system_time(me: usize) -> u64 {
    unsafe {
        let t = &raw const (*si()).vcpu_info[me].time;
        let ver = AtomicU32::from_ptr((&raw const (*t).version) as *mut u32);
        loop {
            let v = ver.load(Ordering::Acquire);
            let (ts, st, mul, sh) = ((&raw const (*t).tsc_timestamp).read_volatile(), (&raw const (*t).system_time).read_volatile(), (&raw const (*t).tsc_to_system_mul).read_volatile(), (&raw const (*t).tsc_shift).read_volatile());
            let tsc = x86::time::rdtsc();
            core::sync::atomic::fence(Ordering::SeqCst);
            if v & 1 == 0 && ver.load(Ordering::Acquire) == v {
                let d = tsc.wrapping_sub(ts);
                let d = if sh >= 0 { d << sh } else { d >> -sh };
                return st.wrapping_add(((u128::from(d) * u128::from(mul)) >> 32) as u64);
            }
        }
    }
}
pub fn count_vcpus() -> usize {
    (0..128).take_while(|&v| vcpu_is_up(v).is_ok()).count().max(1)
}
static CON: AtomicUsize = AtomicUsize::new(0);
static CONPORT: AtomicU32 = AtomicU32::new(0);
pub fn con_connect() -> R<()> { let pfn = get_param(ffi::HVM_PARAM_CONSOLE_PFN, "CONSOLE_PFN")?; CON.store(super::memory::map_fixed(0, pfn), Ordering::Relaxed); CONPORT.store(get_param(ffi::HVM_PARAM_CONSOLE_EVTCHN, "CONSOLE_EVTCHN")? as u32, Ordering::Relaxed); Ok(()) }
fn con() -> *mut ffi::xencons_interface { CON.load(Ordering::Relaxed) as *mut _ }
pub fn con_write(b: &[u8]) -> usize { if con().is_null() { return b.len(); } unsafe {
  let cons = (&raw const (*con()).out_cons).read_volatile(); let mut prod = (&raw const (*con()).out_prod).read_volatile(); let mut n = 0;
  while n < b.len() && prod.wrapping_sub(cons) < 2048 { (&raw mut (*con()).out).cast::<u8>().add(prod as usize & 2047).write_volatile(b[n]); prod = prod.wrapping_add(1); n += 1; }
  core::sync::atomic::fence(Ordering::SeqCst); (&raw mut (*con()).out_prod).write_volatile(prod); n } }
pub fn con_notify() { let p = CONPORT.load(Ordering::Relaxed); if p != 0 { let _ = send(p); } }
pub fn con_empty() -> bool { con().is_null() || unsafe { (&raw const (*con()).out_cons).read_volatile() == (&raw const (*con()).out_prod).read_volatile() } }

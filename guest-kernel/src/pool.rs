//! temporary facade
use crate::arch::cpu::CpuGuard;
use crate::paging::set::Set;
pub struct Proof(());
#[derive(Clone, Copy, Debug)] pub struct DrainFailed;
impl core::fmt::Display for DrainFailed { fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { f.write_str("x") } }
pub fn take(_g: &CpuGuard) -> Option<Set> { Set::construct().ok() }
pub fn give(_g: &CpuGuard, s: Set) { s.destruct() }
pub fn cpu_online(_me: usize) {}
pub fn quiescent(_me: usize) {}
pub fn idle_enter(_g: &CpuGuard) {}
pub fn idle_exit(_g: &CpuGuard) {}
pub fn leave(_me: usize) -> (u32, u32) { (0, 0) }
pub fn drain_for_suspend(_d: u64) -> Result<Proof, DrainFailed> { Ok(Proof(())) }
pub fn report_drain(_p: &Proof, _round: u64, _why: &str, _ns: u64) {}
pub fn drain_on_request(_d: u64) {}
#[derive(Default)] pub struct Figures { pub hits: u64, pub misses: u64, pub constructed: u64, pub destructed: u64, pub cached: [u64; 32], pub depot: u64, pub in_use: u64, pub in_flight: u64 }
pub fn figures() -> Figures { Figures::default() }

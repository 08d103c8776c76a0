//! The proof of a drain, lent to a function of C's.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use pagetable_pool::{CpuId, Drained};

/// Stands for the proof that the pool is empty and stays so, in the function that it is given to. It is a
/// number and points to nothing: what is done with it later gives XGL_PROOF_OVER.
pub struct xgl_proof {
    _none: (),
}

/// Which proof is lent to C now, and to which CPU.
pub struct Loan {
    /// The number that C was given; 0 if there is none.
    ticket: AtomicUsize,
    last: AtomicUsize,
    cpu: AtomicU32,
    /// A `Drained`, as long as `ticket` is not 0.
    proof: AtomicPtr<()>,
}

impl Loan {
    /// Nothing lent.
    pub const fn new() -> Self {
        Loan {
            ticket: AtomicUsize::new(0),
            last: AtomicUsize::new(0),
            cpu: AtomicU32::new(0),
            proof: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Calls `function` with the number of `proof`. There is one proof of a pool at a time, so there is
    /// one loan.
    pub fn lend<R>(
        &self,
        cpu: u32,
        proof: &Drained<'_>,
        function: impl FnOnce(*const xgl_proof) -> R,
    ) -> R {
        let ticket = match self.last.load(Ordering::Relaxed).wrapping_add(1) {
            0 => 1,
            next => next,
        };
        self.last.store(ticket, Ordering::Relaxed);
        self.cpu.store(cpu, Ordering::Relaxed);
        self.proof
            .store(ptr::from_ref(proof).cast_mut().cast(), Ordering::Relaxed);
        self.ticket.store(ticket, Ordering::Release);
        let result = function(ptr::without_provenance(ticket));
        self.ticket.store(0, Ordering::Release);
        result
    }

    /// Where the proof lies that C means, if C has it now: on `cpu`, which is the caller's.
    ///
    /// `Some` proves that the call comes from within the function that [`lend`](Self::lend) calls: that
    /// function runs on `cpu` with interrupts off, so nothing but itself, or an NMI on top of it, runs there.
    pub fn find(&self, cpu: CpuId, proof: *const xgl_proof) -> Option<*const ()> {
        let ticket = self.ticket.load(Ordering::Acquire);
        let same = ticket != 0 && proof.addr() == ticket;
        let here = self.cpu.load(Ordering::Relaxed) as usize == cpu.0;
        (same && here).then(|| self.proof.load(Ordering::Relaxed).cast_const())
    }
}

impl Default for Loan {
    fn default() -> Self {
        Loan::new()
    }
}

//! The lock that a panic opens.

/// Opens a lock whose holder will never do so.
pub fn force_unlock<T>(lock: &spin::Mutex<T>) {
    // SAFETY: only the panic path calls this, once, with interrupts off; what the lock guards is a
    // ring that its holder may have left between two bytes, which at worst garbles the last line.
    unsafe { lock.force_unlock() }
}

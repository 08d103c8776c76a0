//! Stops a domain, or one vCPU of it, at a moment that a shell would miss.

use std::time::Duration;

use crate::domains::Domains;

/// Waits until a vCPU is offline, stops its whole domain at once, and lets it go on after so many
/// seconds.
///
/// # Errors
/// If this is no dom0, or there is no such vCPU.
pub fn catch(domain: u16, vcpu: u32, seconds: u64) -> Result<(), String> {
    let mut domains = Domains::open()?;
    while domains.is_online(domain, vcpu)? {
        std::thread::yield_now();
    }
    domains.pause(domain, true)?;
    std::thread::sleep(Duration::from_secs(seconds));
    domains.pause(domain, false)
}

/// Stops one vCPU until it is released; the others run on.
///
/// # Errors
/// If this is no dom0, there is no such vCPU, or Xen has no support for `gdbsx`.
pub fn hold(domain: u16, vcpu: u32, hold: bool) -> Result<(), String> {
    let mut domains = Domains::open()?;
    domains.pause(domain, true)?;
    let result = domains.hold(domain, vcpu, hold);
    domains.pause(domain, false)?;
    result
}

/// Lets a paused domain go on. `xl unpause` would ask xenstored first, which may be stopped.
///
/// # Errors
/// If this is no dom0, or there is no such domain.
pub fn unpause(domain: u16) -> Result<(), String> {
    Domains::open()?.pause(domain, false)
}

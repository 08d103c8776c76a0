//! The states of all domains, asked of Xen directly: one hypercall each, tens of microseconds.

use std::collections::BTreeMap;
use std::fs::File;

use crate::sys::Page;

/// `XEN_DOMINF_*` of Xen's `public/domctl.h`.
const SHUTDOWN: u32 = 1 << 2;
const PAUSED: u32 = 1 << 3;

/// What matters of a domain's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The toolstack holds it.
    Paused,
    /// It may run.
    Running,
    /// It has suspended (or shut down otherwise).
    Shutdown,
}

impl State {
    /// The word in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Running => "running",
            Self::Shutdown => "shutdown",
        }
    }

    fn of(flags: u32) -> Self {
        if flags & SHUTDOWN != 0 {
            Self::Shutdown
        } else if flags & PAUSED != 0 {
            Self::Paused
        } else {
            Self::Running
        }
    }
}

/// Asks Xen.
#[derive(Debug)]
pub struct Domains {
    privcmd: File,
    page: Page,
    version: u64,
}

/// `__HYPERVISOR_domctl`, and of its commands `XEN_DOMCTL_*`.
const DOMCTL: u64 = 36;
const PAUSEDOMAIN: u64 = 3;
const UNPAUSEDOMAIN: u64 = 4;
const GETDOMAININFO: u64 = 5;
const GETVCPUINFO: u64 = 14;
const SENDTRIGGER: u64 = 28;
const GDBSX_PAUSEVCPU: u64 = 1001;
const GDBSX_UNPAUSEVCPU: u64 = 1002;
/// The interface versions of Xen 4.17 to 4.20, of which these parts are the same.
const VERSIONS: std::ops::RangeInclusive<u64> = 0x15..=0x17;

impl Domains {
    /// Finds the version that this Xen speaks.
    ///
    /// # Errors
    /// If this is no dom0, or a Xen of another version.
    pub fn open() -> Result<Self, String> {
        let path = "/dev/xen/privcmd";
        let privcmd = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| format!("{path}: {e}"))?;
        let mut domains = Self {
            privcmd,
            page: Page::new()?,
            version: 0,
        };
        for version in VERSIONS {
            domains.version = version;
            if domains.next(0).is_ok() {
                return Ok(domains);
            }
        }
        Err("this Xen's domctl interface is none of those this program knows".into())
    }

    /// The state of the first domain whose number is `from` or more.
    fn next(&mut self, from: u16) -> Result<(u16, State), String> {
        self.call(GETDOMAININFO, from, 0)?;
        // struct xen_domctl_getdomaininfo begins with the number, a pad and, at 4, the flags.
        let first = self.page.words()[2];
        Ok((first as u16, State::of((first >> 32) as u32)))
    }

    /// Sends a vCPU an NMI, as `xl trigger` does.
    ///
    /// # Errors
    /// If there is no such domain or vCPU.
    pub fn send_nmi(&mut self, domain: u16, vcpu: u32) -> Result<(), String> {
        // struct xen_domctl_sendtrigger: XEN_DOMCTL_SENDTRIGGER_NMI is 0, and then the vCPU.
        self.call(SENDTRIGGER, domain, u64::from(vcpu) << 32)
    }

    /// Is a vCPU online?
    ///
    /// # Errors
    /// If there is no such domain or vCPU.
    pub fn is_online(&mut self, domain: u16, vcpu: u32) -> Result<bool, String> {
        self.call(GETVCPUINFO, domain, u64::from(vcpu))?;
        // struct xen_domctl_getvcpuinfo: the number, and at 4 whether it is online.
        Ok(self.page.words()[2] >> 32 & 0xff != 0)
    }

    /// Stops a domain, or lets it go on.
    ///
    /// # Errors
    /// If there is no such domain.
    pub fn pause(&mut self, domain: u16, pause: bool) -> Result<(), String> {
        self.call(if pause { PAUSEDOMAIN } else { UNPAUSEDOMAIN }, domain, 0)
    }

    /// Stops one vCPU, or lets it go on, as a debugger does. The domain must be paused meanwhile.
    ///
    /// # Errors
    /// If there is no such vCPU, or if this Xen has no support for `gdbsx`.
    pub fn hold(&mut self, domain: u16, vcpu: u32, hold: bool) -> Result<(), String> {
        let command = if hold {
            GDBSX_PAUSEVCPU
        } else {
            GDBSX_UNPAUSEVCPU
        };
        self.call(command, domain, u64::from(vcpu))
    }

    /// One command; `first` is what follows the domain's number.
    fn call(&mut self, command: u64, domain: u16, first: u64) -> Result<(), String> {
        let words = self.page.words();
        words[..18].fill(0);
        words[0] = command | self.version << 32;
        words[1] = u64::from(domain);
        words[2] = first;
        self.page.hypercall(&self.privcmd, DOMCTL)
    }

    /// All domains but dom0.
    pub fn all(&mut self) -> BTreeMap<u16, State> {
        let mut found = BTreeMap::new();
        let mut from = 1;
        // An error says that there are no more.
        while let Ok((domain, state)) = self.next(from) {
            if domain < from {
                break;
            }
            found.insert(domain, state);
            from = domain.saturating_add(1);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_domain_is_shut_down_whether_paused_or_not() {
        assert_eq!(State::of(SHUTDOWN | 2 << 16), State::Shutdown);
        assert_eq!(State::of(SHUTDOWN | PAUSED), State::Shutdown);
        assert_eq!(State::of(PAUSED), State::Paused);
        assert_eq!(State::of(1 << 5), State::Running);
    }
}

//! The smallest kernel that there is: `xen_bindings::flat`'s tables, one vCPU, interrupts off. It
//! waits by poll.

use core::time::Duration;

use xen_bindings::flat::Flat;
use xen_bindings::shared_info::{SharedInfo, SystemTime, VcpuInfo};
use xen_bindings::{console, xenstore, HypercallError, Result as CallResult};

use crate::kernel::{Kernel, Ring};
use crate::pvh::{self, Pvh};
use crate::sink::ConsoleLog;
use crate::time::{GuestClock, GuestTime};
use crate::waiting::ByPoll;

/// Such a kernel.
#[derive(Clone, Copy)]
pub struct OneVcpu {
    flat: Flat,
    log: &'static ConsoleLog,
}

/// There is one vCPU, so there is one clock.
static CLOCK: GuestClock = GuestClock::new();

impl OneVcpu {
    /// Boots, in this order: `HVM_PARAM_CALLBACK_IRQ` and the shared-info page; the clock, which is
    /// read from there; the console, and `log` over it. xenstore comes next
    /// ([`Control::start`](crate::control::Control::start)), with [`waiting`](OneVcpu::waiting).
    ///
    /// # Errors
    /// What was refused, and what it is for. There is nobody to tell but Xen's own console.
    pub fn boot(
        flat: Flat,
        log: &'static ConsoleLog,
        level: log::LevelFilter,
    ) -> Result<OneVcpu, (&'static str, HypercallError)> {
        let kernel = OneVcpu { flat, log };
        pvh::take_up_domain(kernel)?;
        if let Err(error) = CLOCK.go_on(kernel.me()) {
            panic!("Xen has mapped the page, and {error}");
        }
        log.connect(kernel)
            .map_err(|error| ("the console", error))?;
        if log::set_logger(log).is_ok() {
            log::set_max_level(level);
        }
        Ok(kernel)
    }

    /// How it waits for xenstored.
    #[must_use]
    pub fn waiting(self) -> ByPoll<OneVcpu> {
        ByPoll::new(self, self.shared())
    }

    fn shared(self) -> &'static SharedInfo {
        self.flat.shared_info()
    }
}

impl Kernel for OneVcpu {
    fn now(self) -> Duration {
        let now = CLOCK.now(self.me());
        now.unwrap_or_else(|still| still.latest).since_boot()
    }

    fn to_system(self, guest: Duration) -> SystemTime {
        CLOCK.to_system(GuestTime::default().after(guest))
    }

    fn store_ring(self) -> CallResult<Option<Ring<xenstore::Page>>> {
        let ring = self.flat.store_ring()?;
        Ok(ring.map(|(page, port)| Ring { page, port }))
    }

    fn console_ring(self) -> CallResult<Option<Ring<console::Page>>> {
        let ring = self.flat.console_ring()?;
        Ok(ring.map(|(page, port)| Ring { page, port }))
    }
}

impl Pvh for OneVcpu {
    fn clock(self) -> &'static GuestClock {
        &CLOCK
    }

    fn me(self) -> &'static VcpuInfo {
        self.flat.vcpu_info()
    }

    fn console(self) -> Option<&'static ConsoleLog> {
        Some(self.log)
    }

    fn incarnation(self) -> Option<u32> {
        let time = self.flat.leaves().time()?;
        // Xen counts from 1 (`tsc_set_info`): a zero is a leaf that was masked.
        (time.incarnation != 0).then_some(time.incarnation)
    }

    fn map_shared_info(self) -> CallResult<()> {
        self.flat.map_shared_info()
    }

    fn suspend(self) -> CallResult<usize> {
        self.flat.suspend()
    }
}

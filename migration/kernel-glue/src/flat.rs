//! The smallest kernel that there is: `xen_bindings::flat`'s tables, one vCPU, interrupts off. It
//! waits by poll.

use core::fmt;
use core::time::Duration;

use spin::{Mutex, MutexGuard};
use xen_bindings::flat::Flat;
use xen_bindings::shared_info::{SharedInfo, SystemTime, VcpuInfo};
use xen_bindings::xenstore::Buffers;
use xen_bindings::{console, xenstore, Result as CallResult};

use crate::control::Control;
use crate::insist::insist;
use crate::kernel::{Kernel, Ring};
use crate::pvh::{self, Pvh};
use crate::sink::{ConsoleLog, Line};
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
    /// read from there; the console, and `log` over it, up to `level`. xenstore comes next:
    /// [`connect`](OneVcpu::connect).
    ///
    /// # Panics
    /// If Xen refuses any of that three times. There is no console yet, so Xen's own has the reason.
    #[must_use]
    pub fn boot(flat: Flat, log: &'static ConsoleLog, level: log::LevelFilter) -> OneVcpu {
        let kernel = OneVcpu { flat, log };
        if let Err((what, error)) = pvh::take_up_domain(kernel) {
            lost(flat, format_args!("{what}: {error}"));
        }
        if let Err(error) = CLOCK.go_on(kernel.me()) {
            lost(flat, format_args!("Xen has mapped it, and {error}"));
        }
        if let Err(error) = insist(|| log.connect(kernel), drop) {
            lost(flat, format_args!("the console's ring: {error}"));
        }
        if log::set_logger(log).is_ok() {
            log::set_max_level(level);
        }
        kernel
    }

    /// Connects to xenstore, by poll.
    ///
    /// # Panics
    /// At the second call: there is one connection.
    #[must_use]
    pub fn connect(self) -> Control<OneVcpu, ByPoll<OneVcpu>> {
        static BUFFERS: Mutex<Buffers> = Mutex::new(Buffers::new());
        let buffers = BUFFERS.try_lock().expect("this is done once");
        let waiting = ByPoll::new(self, self.shared());
        Control::start(self, waiting, MutexGuard::leak(buffers))
    }

    fn shared(self) -> &'static SharedInfo {
        self.flat.shared_info()
    }
}

/// Says on Xen's own console why there will be no kernel.
fn lost(flat: Flat, why: fmt::Arguments<'_>) -> ! {
    flat.say(Line::of(why).bytes());
    panic!("{why}");
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

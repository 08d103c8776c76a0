//! This kernel, as `kernel-glue` sees it.

use core::fmt;
use core::time::Duration;

use kernel_glue::kernel::{Kernel, Ring, Upcalls};
use kernel_glue::time::SystemTime;
use migration::Party;
use xen_bindings::event_channel::Port;
use xen_bindings::{console, xenstore, Result};

use crate::arch;
use crate::xen::{calls, ports, report, time};

/// This kernel. Its parts are statics.
#[derive(Clone, Copy)]
pub struct Here;

impl Kernel for Here {
    fn now(self) -> Duration {
        Duration::from_nanos(time::now())
    }

    fn to_system(self, guest: Duration) -> SystemTime {
        time::to_system(guest.as_nanos() as u64)
    }

    fn store_ring(self) -> Result<Option<Ring<xenstore::Page>>> {
        let ring = arch::rings::store_ring()?;
        Ok(ring.map(|ring| Ring {
            page: ring.page(),
            port: ring.port(),
        }))
    }

    fn console_ring(self) -> Result<Option<Ring<console::Page>>> {
        let ring = arch::rings::console_ring()?;
        Ok(ring.map(|ring| Ring {
            page: ring.page(),
            port: ring.port(),
        }))
    }

    fn relax(self) {
        calls::yield_cpu();
    }

    fn report(self, party: Party, place: &str, message: &dyn fmt::Display) {
        report::error(party, place, message);
    }

    fn told_domid(self, domid: u32) {
        calls::set_domid(domid);
    }
}

impl Upcalls for Here {
    fn listen(self, port: Port) -> Result<()> {
        ports::listen(0, port)
    }
}

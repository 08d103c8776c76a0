//! What the domain has and this kernel does not use: said on the console at boot, and written in
//! xenstore in every new domain, where a person looks who wonders.

use migration::xenstore::{StoreError, Xenstore};
use migration::Text;

use crate::arch::areas;
use crate::memory::layout::MOST_FRAMES;
use crate::memory::map::MemoryMap;
use crate::xen::duty::Duty;
use crate::xen::store::Store;
use crate::xen::{calls, report};

/// KiB of memory that is not used.
const MEMORY: &str = "data/unused-memory-kib";
/// vCPUs that are not used.
const VCPUS: &str = "data/unused-vcpus";

/// More than any Xen makes for a domain (`MAX_VIRT_CPUS`, `xen/arch/x86/include/asm/config.h`).
const MAX_VIRT_CPUS: usize = 8192;

/// Digits of the longest number.
const DIGITS: usize = 20;

/// What is not used, and whether xenstore has been told.
pub struct Unused {
    memory_kib: u64,
    duty: Duty,
}

/// vCPUs of the domain behind those that the kernel can run.
fn vcpus() -> u64 {
    let more = (areas::room()..MAX_VIRT_CPUS).take_while(|&cpu| calls::has_vcpu(cpu));
    more.count() as u64
}

/// KiB of RAM behind what the kernel can map.
fn memory_kib(map: &MemoryMap) -> u64 {
    u64::from(map.count(MOST_FRAMES as u32, u32::MAX)) * 4
}

/// Says it on the console, if there is anything.
pub fn say(map: &MemoryMap) {
    let (memory_kib, vcpus) = (memory_kib(map), vcpus());
    if memory_kib == 0 && vcpus == 0 {
        return;
    }
    report::event("unused")
        .num("memory_kib", memory_kib)
        .num("most_memory_kib", MOST_FRAMES as u64 * 4)
        .num("vcpus", vcpus)
        .num("most_vcpus", areas::room() as u64)
        .send();
}

impl Unused {
    /// To be written.
    pub fn new(map: &MemoryMap) -> Self {
        let mut unused = Unused {
            memory_kib: memory_kib(map),
            duty: Duty::new("data/unused-*"),
        };
        unused.duty.ask();
        unused
    }

    /// The domain may be another one, with other vCPUs.
    pub fn anew(&mut self) {
        self.duty.ask();
    }

    /// Is it still to be written?
    pub fn stands(&self) -> bool {
        self.duty.stands()
    }

    /// Writes what is due.
    pub fn pursue(&mut self, store: &mut Store) {
        if self.duty.is_due() {
            let written = self.write(store);
            self.duty.settle(written);
        }
    }

    fn write(&self, store: &mut Store) -> Result<(), StoreError> {
        for (node, number) in [(MEMORY, self.memory_kib), (VCPUS, vcpus())] {
            if number != 0 {
                let text = Text::<DIGITS>::of(number);
                store.write(None, node, text.as_str().as_bytes())?;
            }
        }
        Ok(())
    }
}

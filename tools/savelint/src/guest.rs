//! What the stream says of a domain, put together record by record.

use crate::cpu_policy::{self, CpuPolicy};
use crate::finding::Code;
use crate::format::TYPE_PV;
use crate::hvm::Hvm;
use crate::input::{Input, Record};
use crate::pages::PageMap;
use crate::pv::Pv;
use crate::tables::Tables;
use crate::target::Xen;

/// How often a kind of record came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Records.
    pub records: u64,
    /// Their bodies' bytes.
    pub bytes: u64,
}

/// What the stream says of a domain.
#[derive(Clone, Debug)]
pub struct Guest {
    /// [`TYPE_PV`] or `TYPE_HVM`.
    pub kind: u32,
    /// The stream's version.
    pub version: u32,
    /// The Xen that saved it; major 0: converted from the legacy format by a script.
    pub xen: (u32, u32),
    /// The Xen by whose rules it is judged.
    pub target: Xen,
    /// Its CPUID leaves and MSRs.
    pub policy: CpuPolicy,
    /// Every page.
    pub pages: PageMap,
    /// The page tables, PV only.
    pub tables: Tables,
    /// What only PV has.
    pub pv: Pv,
    /// What only HVM has.
    pub hvm: Hvm,
    /// By record type; the last for those that are unknown.
    pub counts: [Count; 0x14],
    /// STATIC_DATA_END came, or is taken as come in version 2.
    pub static_done: bool,
    /// Page contents are only compared from here on.
    pub verify: bool,
    /// END came.
    pub ended: bool,
}

impl Guest {
    /// A domain of which nothing is known but the headers: its type, the stream's version, the Xen
    /// that saved it and the one by whose rules it is judged.
    pub fn new(kind: u32, version: u32, xen: (u32, u32), target: Xen) -> Self {
        Guest {
            kind,
            version,
            xen,
            target,
            policy: CpuPolicy::default(),
            pages: PageMap::default(),
            tables: Tables::default(),
            pv: Pv::default(),
            hvm: Hvm::default(),
            counts: Default::default(),
            static_done: false,
            verify: false,
            ended: false,
        }
    }

    /// Counts a record.
    pub fn note(&mut self, record: &Record) {
        let count = &mut self.counts[Self::slot(record.kind)];
        count.records += 1;
        count.bytes += u64::from(record.length);
    }

    /// How often a kind of record came.
    pub fn count(&self, kind: u32) -> u64 {
        self.counts[Self::slot(kind)].records
    }

    fn slot(kind: u32) -> usize {
        (kind as usize).min(0x13)
    }

    /// Whether the records without which no domain is restored are there.
    pub fn is_complete(&self) -> bool {
        self.ended
            && match self.kind {
                TYPE_PV => self
                    .pv
                    .vcpus
                    .get(&0)
                    .is_some_and(|vcpu| vcpu.basic.is_some()),
                _ => self.hvm.context.is_some(),
            }
    }

    /// Whether it is a PV domain.
    pub fn is_pv(&self) -> bool {
        self.kind == TYPE_PV
    }

    /// Version 2 has no STATIC_DATA_END; it is where memory begins.
    pub fn needs_static_data(&mut self, input: &mut Input<'_>, record: &Record) {
        if !self.static_done {
            if self.version >= 3 {
                input.bad(Code::RecordOrder, record, || {
                    "no STATIC_DATA_END before it".into()
                });
            }
            self.static_data_done(input);
        }
    }

    /// What comes before memory is complete.
    pub fn static_data_done(&mut self, input: &mut Input<'_>) {
        if !self.static_done {
            self.static_done = true;
            cpu_policy::hand_over(input, &self.policy, self.target);
        }
    }
}

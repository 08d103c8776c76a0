//! The report about a stream.

use serde::Serialize;

use crate::finding::{Finding, Weight};

/// Everything about one stream. `Display` is the report to read.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether it can be restored.
    pub verdict: Verdict,
    /// The Xen by whose rules it is judged, such as `4.17`: the one that is asked for, or the one
    /// that saved.
    pub for_xen: &'static str,
    /// What it is wrapped in.
    pub format: Format,
    /// Whose image it is.
    pub guest: Guest,
    /// Its memory.
    pub pages: Pages,
    /// What a restore does with its page tables; PV only.
    pub pins: Option<Pins>,
    /// How often each kind of libxc's records came.
    pub records: Vec<Records>,
    /// What was found, the heaviest first.
    pub findings: Vec<Finding>,
    /// What the file does not contain, and the verdict therefore leaves out.
    pub not_judged: Vec<String>,
}

impl Report {
    /// The verdict: `xl restore` will succeed, as far as the stream decides it. (It can still fail
    /// because memory, 32-bit PV support or a device is missing on the host.)
    pub fn restores(&self) -> bool {
        matches!(self.verdict, Verdict::Restores)
    }

    /// The error number that xl prints, where one is known: of a refused page table, as in xl's
    /// `Failed to pin batch of pagetables (22 = Invalid argument)`, or of too much memory.
    pub fn errno(&self) -> Option<i32> {
        match self.verdict {
            Verdict::Fails { errno, .. } => errno,
            Verdict::Restores => None,
        }
    }

    /// Whether there is no finding above a note.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|f| f.weight == Weight::Note)
    }
}

/// Whether a stream can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Verdict {
    /// It can.
    Restores,
    /// It cannot.
    Fails {
        /// The first thing that stops it.
        why: String,
        /// The error that xl prints, where that is known.
        errno: Option<i32>,
        /// What xl will say, where that is known.
        says: Option<String>,
    },
}

/// What the stream is wrapped in, and how long it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Format {
    /// xl's header stands before it.
    pub xl: bool,
    /// The version in libvirt's header, if that stands before it.
    pub libvirt: Option<u32>,
    /// The first of xapi's headers, if it is in such an image.
    pub xapi: Option<Vec<&'static str>>,
    /// Whole checkpoints in it (Remus).
    pub checkpoints: u64,
    /// The version of libxl's stream, if there is one.
    pub libxl: Option<u32>,
    /// The version of libxc's stream.
    pub libxc: u32,
    /// A device model's state is in it.
    pub emulator: bool,
    /// What follows in it has no length fields and was not read.
    #[serde(skip)]
    pub cut_short: bool,
    /// How many bytes were read as part of the stream.
    pub bytes: u64,
}

/// Whose image it is.
#[derive(Clone, Debug, Serialize)]
pub struct Guest {
    /// `PV 64-bit`, `PV 32-bit PAE`, `PVH`, `HVM`, or `HVM or PVH` where nothing tells them apart.
    pub kind: String,
    /// Its name, from xl's configuration.
    pub name: Option<String>,
    /// The Xen that saved it, such as `4.17`.
    pub saved_by: String,
    /// The vCPUs whose state is in the stream: those that were online.
    pub vcpus: Vec<u32>,
    /// How many it may have, from xl's configuration.
    pub max_vcpus: Option<u32>,
    /// How a PV guest keeps its table of machine frames: `tree` or `list`.
    pub p2m: Option<&'static str>,
}

/// The domain's pages of 4 KiB, by the type in the last record that names each.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pages {
    /// One more than the highest page.
    pub range: u64,
    /// How many a restore gives memory.
    pub populated: u64,
    /// How many Xen will give the domain, if its configuration is there: its target and libxl's 1
    /// MiB.
    pub allowed: Option<u64>,
    /// Contents in the stream, each copy counted: more than pages means that memory was sent while
    /// the guest ran.
    pub copies: u64,
    /// Pages with contents.
    pub filled: u64,
    /// Plain memory.
    pub plain: u64,
    /// Page tables, L1 to L4, pinned ones included.
    pub tables: [u64; 4],
    /// Pinned page tables, L1 to L4.
    pub pinned: [u64; 4],
    /// Memory without contents (`XALLOC`).
    pub empty: u64,
    /// No memory, or none that could be saved (`XTAB`).
    pub holes: u64,
    /// Broken memory.
    pub broken: u64,
    /// In the range, and named by no record.
    pub missing: u64,
}

/// What a restore does with page tables: each vCPU's roots, then the pinned tables in rising order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pins {
    /// Not judged, because the stream is incomplete.
    pub unjudged: bool,
    /// First, in this order.
    pub roots: Vec<Root>,
    /// Then these, in this order.
    pub pinned: Vec<Pin>,
    /// Linear entries: those that point to a table of the level they stand in.
    pub linear_entries: u64,
    /// The tables that hold them, at most [`Pins::HOLDERS`].
    pub holders: Vec<Holder>,
    /// The pinned table that is refused first, if one is.
    pub refused: Option<u64>,
    /// How many more pins would be refused if the first refusal did not end the restore (counted up
    /// to 16).
    pub more_refused: u64,
}

impl Pins {
    /// How many holders are listed.
    pub const HOLDERS: usize = 64;
}

/// A root table that a vCPU's context loads.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Root {
    /// Which vCPU.
    pub vcpu: u32,
    /// The user's root of a 64-bit guest.
    pub user: bool,
    /// Its page.
    pub page: u64,
}

/// A pinned table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pin {
    /// Its page.
    pub page: u64,
    /// Its level.
    pub level: u8,
}

/// A table with linear entries.
#[derive(Clone, Debug, Serialize)]
pub struct Holder {
    /// Its page.
    pub page: u64,
    /// Its level.
    pub level: u8,
    /// Its place among the pinned tables, from 1; none if it is not pinned.
    pub place: Option<u64>,
    /// What its linear entries point to, at most 16.
    pub targets: Vec<Target>,
    /// It is pinned before one of its targets, so that the restore meets the entry before the table
    /// it points to has a type.
    pub too_early: bool,
}

/// What a linear entry points to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Target {
    /// The entry's slot.
    pub slot: u16,
    /// The page it points to.
    pub page: u64,
    /// Its place among the pinned tables, from 1; none if it is not pinned.
    pub place: Option<u64>,
}

/// Records of one kind.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Records {
    /// Their name.
    pub name: &'static str,
    /// How many.
    pub count: u64,
    /// The bytes of their bodies.
    pub bytes: u64,
}

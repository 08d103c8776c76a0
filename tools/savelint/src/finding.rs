//! What can be wrong with an image, and how severe it is.

use std::fmt;

use serde::Serialize;

use crate::refusal::Errno;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// The restore fails.
    Fatal,
    /// The restore succeeds, and the guest has lost something.
    Damage,
    /// The restore succeeds, but no known writer produces this.
    Warning,
    /// Worth knowing, nothing wrong.
    Note,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Weight::Fatal => "fatal",
            Weight::Damage => "damage",
            Weight::Warning => "warning",
            Weight::Note => "note",
        })
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal, $weight:ident;)+) => {
        /// The kinds of findings. Each has a fixed weight and a name that does not change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The name, as in the report.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// How much one weighs.
            pub const fn weight(self) -> Weight {
                match self { $(Code::$variant => Weight::$weight,)+ }
            }
        }
    };
}

codes! {
    /// The stream ends inside a header, a record, or before its last record.
    Truncated, "truncated", Fatal;
    /// A record is longer than the 128 MiB that libxc reads; nothing after it can be found.
    RecordTooLong, "record-too-long", Fatal;
    /// A record's length does not fit what is in it, or a field has an impossible value.
    RecordMalformed, "record-malformed", Fatal;
    /// A record comes before one that it depends on.
    RecordOrder, "record-order", Fatal;
    /// A record that a restore needs is not there.
    RecordMissing, "record-missing", Fatal;
    /// A record that comes twice, or does not belong in this kind of stream.
    RecordUnexpected, "record-unexpected", Fatal;
    /// A mandatory record of a type that Xen's tools do not know.
    RecordUnknown, "record-unknown", Fatal;
    /// xl's own header refuses: unknown mandatory flags, or no configuration.
    XlHeader, "xl-header", Fatal;
    /// libvirt's header or XML: libvirt refuses it.
    LibvirtHeader, "libvirt-header", Fatal;
    /// A header of xapi's that xapi refuses.
    XapiHeader, "xapi-header", Fatal;
    /// xl's configuration makes a domain of another type than the stream is for.
    WrongType, "wrong-type", Fatal;
    /// A page type that is reserved.
    PageType, "page-type", Fatal;
    /// A page frame number above the domain's highest.
    PageOutside, "page-outside", Fatal;
    /// More pages than the domain's configuration allows it: Xen says `Over-allocation`.
    OverAllocation, "over-allocation", Fatal;
    /// A present page-table entry that points above the domain's highest page.
    EntryOutside, "entry-outside", Fatal;
    /// A superpage in a PV page table.
    Superpage, "superpage", Fatal;
    /// A vCPU's root table is refused: `Failed to set vcpuN's basic info`.
    RootRefused, "root-refused", Fatal;
    /// A pinned table is refused: `Failed to pin batch of pagetables`.
    PinRefused, "pin-refused", Fatal;
    /// A vCPU's context is refused before Xen sees its tables.
    VcpuState, "vcpu-state", Fatal;
    /// The start info page is not where vCPU 0 says, or holds numbers that are no pages.
    StartInfo, "start-info", Fatal;
    /// A frame of the p2m table is missing or is no plain page.
    P2mFrame, "p2m-frame", Fatal;
    /// A CPUID leaf or MSR that Xen does not take: `Failed to set CPUID policy`.
    CpuPolicy, "cpu-policy", Fatal;
    /// A TSC mode that Xen does not have: `Unable to set TSC information`.
    TscInfo, "tsc-info", Fatal;
    /// An HVM parameter that may not be set, or not to this value: `set HVM param`.
    HvmParam, "hvm-param", Fatal;
    /// The HVM context is not a list of entries that Xen takes, with an end:
    /// `Unable to restore HVM context`.
    HvmContext, "hvm-context", Fatal;
    /// The rest of the file is zeros: it was never written to its end.
    ZeroEnd, "zero-end", Fatal;
    /// A page that an entry points to has no contents in the stream: dropped when it was saved, and
    /// empty after a restore.
    DroppedPage, "dropped-page", Damage;
    /// A page that an entry points to was left out of the last pass: the restored domain has an
    /// older copy.
    StalePage, "stale-page", Damage;
    /// An entry asks for a table where the stream has plain memory, whose contents were not looked
    /// at.
    PlainAsTable, "plain-as-table", Damage;
    /// Pages of the domain that no record names.
    PagesMissing, "pages-missing", Damage;
    /// A record without which the domain is restored but not as it was.
    StateMissing, "state-missing", Damage;
    /// Padding that is not zero.
    Padding, "padding", Warning;
    /// Reserved bits that are not zero.
    Reserved, "reserved", Warning;
    /// libxl's stream ends without its END record; xl reads the end of the file as one (seen on
    /// 4.17.5).
    EndMissing, "end-missing", Warning;
    /// Bytes after the stream's end.
    TrailingData, "trailing-data", Warning;
    /// A record that is read but makes no sense where it stands.
    RecordOdd, "record-odd", Warning;
    /// In verify mode a page table was sent again with other contents.
    VerifyMismatch, "verify-mismatch", Warning;
    /// A checkpointed stream without an end: the backup host goes on from the last checkpoint.
    FailOver, "fail-over", Note;
    /// A table that no root and no pinned table refers to.
    LooseTable, "loose-table", Note;
    /// Linear entries: the order of their pages decides whether they restore.
    LinearEntries, "linear-entries", Note;
    /// An optional record that Xen's tools pass over.
    RecordIgnored, "record-ignored", Note;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// Findings of one kind: the first few in words, and how many there are.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// Its kind.
    pub code: Code,
    /// How often.
    pub count: u64,
    /// The first few of them, 8 at most.
    pub seen: Vec<String>,
}

/// Collects findings. Keeps a few descriptions of each kind, and counts the rest.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    all: Vec<Finding>,
    said: Vec<(Code, Said)>,
}

/// What xl prints of the first finding of a kind.
#[derive(Clone, Debug)]
pub struct Said {
    /// The error number.
    pub errno: i32,
    /// The line, without `xc: error:`.
    pub words: String,
}

impl Findings {
    /// How many descriptions are kept of one kind.
    pub const SHOWN: usize = 8;

    /// Notes what Xen refuses with an error. `says` is what libxc prints of it, without the error's
    /// words.
    pub fn refuse(
        &mut self,
        code: Code,
        says: String,
        errno: Errno,
        words: impl FnOnce() -> String,
    ) {
        if !self.has(code) {
            let words = format!("{says} ({errno})");
            let errno = errno.number();
            self.said.push((code, Said { errno, words }));
        }
        self.add(code, words);
    }

    /// What xl prints of the first finding of this kind, if that is known.
    pub fn said(&self, code: Code) -> Option<&Said> {
        self.said
            .iter()
            .find(|(c, _)| *c == code)
            .map(|(_, said)| said)
    }

    /// Notes one. The description is only built if it will be kept.
    pub fn add(&mut self, code: Code, words: impl FnOnce() -> String) {
        self.add_many(code, 1, words);
    }

    /// Notes one in front of all others, because it is their cause.
    pub fn add_first(&mut self, code: Code, words: impl FnOnce() -> String) {
        self.add(code, words);
        self.all.rotate_right(1);
    }

    /// Notes `count` of them with one description.
    pub fn add_many(&mut self, code: Code, count: u64, words: impl FnOnce() -> String) {
        let place = self.all.iter().position(|f| f.code == code);
        let place = place.unwrap_or_else(|| {
            self.all.push(Finding {
                weight: code.weight(),
                code,
                count: 0,
                seen: Vec::new(),
            });
            self.all.len() - 1
        });
        let finding = &mut self.all[place];
        finding.count = finding.count.saturating_add(count);
        if finding.seen.len() < Self::SHOWN {
            finding.seen.push(words());
        }
    }

    /// Whether there is one of this kind.
    pub fn has(&self, code: Code) -> bool {
        self.all.iter().any(|f| f.code == code)
    }

    /// The first of this weight, in the order in which they were found.
    pub fn first(&self, weight: Weight) -> Option<&Finding> {
        self.all.iter().find(|f| f.weight == weight)
    }

    /// The heaviest first; within a weight as they were found.
    pub fn sorted(mut self) -> Vec<Finding> {
        self.all.sort_by_key(|f| f.weight);
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_findings_is_counted_and_not_kept() {
        let mut findings = Findings::default();
        findings.add(Code::RecordIgnored, || "a note".into());
        for n in 0..100_000 {
            findings.add(Code::Padding, || format!("{n}"));
        }
        findings.add(Code::Truncated, || "the end".into());
        let all = findings.sorted();
        assert_eq!(
            all.iter().map(|f| f.code).collect::<Vec<_>>(),
            [Code::Truncated, Code::Padding, Code::RecordIgnored]
        );
        assert_eq!(
            (all[1].count, all[1].seen.len()),
            (100_000, Findings::SHOWN)
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Code::ALL.iter().map(|c| c.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}

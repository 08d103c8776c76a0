//! How the suspend hypercall came back.

use core::fmt;

/// What the suspend hypercall's return says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 0: this is a new domain. Everything that Xen does not carry over is gone.
    Restored,
    /// 1: this is the same domain. Nothing was lost: the save was a checkpoint, or it failed.
    Cancelled,
}

/// The hypercall returned a negative errno value: no suspend took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(
    /// The errno value, positive.
    pub u64,
);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xen refused SCHEDOP_shutdown(suspend): errno {}", self.0)
    }
}

impl core::error::Error for Refused {}

impl Outcome {
    /// Reads the return value of `SCHEDOP_shutdown(SHUTDOWN_suspend)`.
    ///
    /// 0 is a restore, 1 a cancelled suspend (`xen/include/public/sched.h`; written by
    /// `modify_returncode`, `tools/libs/guest/xg_resume.c:50`). Any other positive value counts
    /// as a cancelled suspend: only 0 means *restored*.
    ///
    /// For PVH and HVM the toolstack writes the 1 only if `HVM_PARAM_CALLBACK_IRQ` is not 0; a
    /// guest that uses nothing but per-vCPU upcall vectors must set the parameter to 1, as Linux,
    /// FreeBSD and NetBSD do, or a cancelled suspend looks like a restore. [`Outcome::checked`]
    /// guards against it.
    #[doc(alias = "SHUTDOWN_suspend")]
    #[doc(alias = "SCHEDOP_shutdown")]
    pub fn from_hypercall(ret: i64) -> Result<Outcome, Refused> {
        match ret {
            0 => Ok(Outcome::Restored),
            1.. => Ok(Outcome::Cancelled),
            _ => Err(Refused(ret.unsigned_abs())),
        }
    }

    /// Checks the return value against CPUID's incarnation number before and after the hypercall.
    ///
    /// The number goes up by one with each restore (`tsc_set_info`, `xen/arch/x86/time.c`; CPUID
    /// leaf base+3, subleaf 0, EDX). A return of 0 with the number unchanged is a cancelled suspend
    /// whose return value the toolstack could not write.
    ///
    /// `None` is a number that could not be read: a `cpuid` line in the domain's configuration can
    /// hide the leaf. Then only the return value decides.
    pub fn checked(self, before: Option<u32>, after: Option<u32>) -> Outcome {
        match (before, after) {
            (Some(before), Some(after)) if self == Outcome::Restored && before == after => {
                log::warn!(
                    "the suspend call returned 0, but the incarnation is still {before}: taken for cancelled; \
                     is HVM_PARAM_CALLBACK_IRQ 0?"
                );
                Outcome::Cancelled
            }
            _ => self,
        }
    }

    /// The name used in events (`docs/events.md`).
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Restored => "restored",
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// How the guest comes back. Every undo step gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// The hypercall was not made, or Xen refused it: undo what was done.
    Failed,
    /// The hypercall returned into the same domain: undo what was done.
    Cancelled,
    /// The hypercall returned into a new domain: set up again what Xen does not carry over.
    Restored,
}

impl Return {
    /// Whether this is the same domain as before: event channels, mappings, vCPUs and watches are
    /// what they were.
    pub const fn is_same_domain(self) -> bool {
        !matches!(self, Return::Restored)
    }
}

impl From<Outcome> for Return {
    fn from(outcome: Outcome) -> Return {
        match outcome {
            Outcome::Restored => Return::Restored,
            Outcome::Cancelled => Return::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zero_is_a_restore() {
        assert_eq!(Outcome::from_hypercall(0), Ok(Outcome::Restored));
        assert_eq!(Outcome::from_hypercall(1), Ok(Outcome::Cancelled));
        assert_eq!(Outcome::from_hypercall(7), Ok(Outcome::Cancelled));
        assert_eq!(Outcome::from_hypercall(-22), Err(Refused(22)));
        assert!(std::format!("{}", Refused(22)).contains("errno 22"));
        assert_eq!(
            (Outcome::Restored.name(), Outcome::Cancelled.name()),
            ("restored", "cancelled")
        );
        assert_eq!(
            Outcome::from_hypercall(i64::MIN),
            Err(Refused(i64::MIN.unsigned_abs()))
        );
    }

    #[test]
    fn an_unchanged_incarnation_disproves_a_restore() {
        let checked = |outcome: Outcome, before, after| outcome.checked(Some(before), Some(after));
        assert_eq!(checked(Outcome::Restored, 3, 4), Outcome::Restored);
        assert_eq!(checked(Outcome::Restored, 3, 3), Outcome::Cancelled);
        assert_eq!(checked(Outcome::Cancelled, 3, 3), Outcome::Cancelled);
    }

    #[test]
    fn an_incarnation_that_cannot_be_read_proves_nothing() {
        for (before, after) in [(None, None), (Some(0), None), (None, Some(0))] {
            assert_eq!(Outcome::Restored.checked(before, after), Outcome::Restored);
        }
    }
}

//! How the suspend hypercall came back.

/// What the suspend hypercall's return says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 0: this is a new domain. Everything that Xen does not carry over is gone.
    Restored,
    /// 1: this is the same domain. Nothing was lost: the save was a checkpoint, or it failed.
    Cancelled,
}

/// The incarnation number before and after the suspend call, as far as it can say something.
///
/// It goes up by one with each restore (`tsc_set_info`, `xen/arch/x86/time.c`; CPUID leaf base+3,
/// subleaf 0, EDX).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incarnation {
    /// Not looked at: right for a PV guest. The toolstack always writes the 1 of a cancelled
    /// suspend there; and in Xen's shim the number is the shim's, which is restored *around* the
    /// guest without its counting.
    Unasked,
    /// A PVH or HVM guest's. `None` is a number that could not be read: a `cpuid` line in the
    /// domain's configuration can hide the leaf. Then only the return value decides.
    Seen {
        /// Right before the call.
        before: Option<u32>,
        /// Right after it.
        after: Option<u32>,
    },
}

impl Outcome {
    /// Reads what `SCHEDOP_shutdown(SHUTDOWN_suspend)` returned. This is the only place that does:
    /// PVH and PV guests differ in `incarnation`, and in nothing else. A negative return is no
    /// outcome but an error of the call's (`xen_bindings::sched::suspend` gives it as such): no
    /// suspend took place.
    ///
    /// 0 is a restore, 1 a cancelled suspend (`xen/include/public/sched.h`; written by
    /// `modify_returncode`, `tools/libs/guest/xg_resume.c:50`). Any other value counts as a
    /// cancelled suspend: only 0 means *restored*.
    ///
    /// For PVH and HVM the toolstack writes the 1 only if `HVM_PARAM_CALLBACK_IRQ` is not 0. A
    /// guest that uses nothing but per-vCPU upcall vectors must set the parameter to 1, as Linux,
    /// FreeBSD and NetBSD do, or a cancelled suspend returns 0. A 0 with the incarnation unchanged
    /// is therefore taken for cancelled.
    #[doc(alias = "SHUTDOWN_suspend")]
    #[doc(alias = "SCHEDOP_shutdown")]
    pub fn decode(returned: usize, incarnation: Incarnation) -> Outcome {
        if returned != 0 {
            return Outcome::Cancelled;
        }
        match incarnation {
            Incarnation::Seen {
                before: Some(before),
                after: Some(after),
            } if before == after => {
                log::warn!(
                    "the suspend call returned 0, but the incarnation is still {before}: taken for cancelled; \
                     is HVM_PARAM_CALLBACK_IRQ 0?"
                );
                Outcome::Cancelled
            }
            _ => Outcome::Restored,
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
        let decode = |returned| Outcome::decode(returned, Incarnation::Unasked);
        assert_eq!(decode(0), Outcome::Restored);
        assert_eq!(decode(1), Outcome::Cancelled);
        assert_eq!(decode(7), Outcome::Cancelled);
        assert_eq!(
            (Outcome::Restored.name(), Outcome::Cancelled.name()),
            ("restored", "cancelled")
        );
    }

    #[test]
    fn an_unchanged_incarnation_disproves_a_restore() {
        let decode = |returned, before, after| {
            let (before, after) = (Some(before), Some(after));
            Outcome::decode(returned, Incarnation::Seen { before, after })
        };
        assert_eq!(decode(0, 3, 4), Outcome::Restored);
        assert_eq!(decode(0, 3, 3), Outcome::Cancelled);
        assert_eq!(decode(1, 3, 3), Outcome::Cancelled);
        assert_eq!(decode(1, 3, 4), Outcome::Cancelled);
    }

    #[test]
    fn an_incarnation_that_cannot_be_read_proves_nothing() {
        for (before, after) in [(None, None), (Some(0), None), (None, Some(0))] {
            let seen = Incarnation::Seen { before, after };
            assert_eq!(Outcome::decode(0, seen), Outcome::Restored);
            assert_eq!(Outcome::decode(1, seen), Outcome::Cancelled);
        }
    }
}

//! Which tests run only if they are asked for by name: `cargo lab test long`.
//!
//! CI has two cores that it shares. A test belongs here if it takes minutes, or if another one
//! shows the same mechanism by the other word size or the other kind of guest.

use crate::suite::scenarios::test::LabTest;

/// What the name of such a test begins with.
const LONG: &str = "long/";

/// Tests whose mechanism another one shows in each run of the suite, named beside it.
const SHOWN_BY_ANOTHER: &[(&str, &str)] = &[
    // The suspend that waits for a console is long by its nature.
    ("lab/x86_64/control/console=wait", "lab/x86_64/unheard"),
    (
        "lab/x86_64/control/fault=resume:5",
        "lab/x86_64/control/fault=resume:1",
    ),
    (
        "lab/x86_64/control/drain=skip:1",
        "lab/x86_64/control/drain=off",
    ),
    (
        "lab/x86_64/control/drain=off+audit=off",
        "lab/x86_64/control/drain=skip:1+audit=off",
    ),
    // Numbers of vCPUs: the minimal kernel has one, and the guest with gaps is saved with some of
    // eight offline.
    ("lab/x86_64/1-vcpu", "lab/x86_64/minimal"),
    ("lab/i686/1-vcpu", "lab/x86_64/minimal"),
    ("lab/x86_64/8-vcpus", "lab/x86_64/gaps"),
    ("lab/x86_64/saved-with-cpus-offline", "lab/x86_64/gaps"),
    ("lab/i686/32-vcpus", "lab/x86_64/32-vcpus"),
    // To the guest another host is what a new domain on this one is.
    ("lab/hosts/there-and-back", "lab/x86_64/main-job"),
    // Debian's own Xen takes 64-bit PV guests too.
    (
        "lab/x86_64/pv/main-job-debian12",
        "lab/x86_64/pv/main-job-pv32",
    ),
    (
        "lab/x86_64/pv/control/drain=off+audit=off+order=holder-first",
        "lab/x86_64/pv/control-debian12/drain=off+audit=off+order=holder-first",
    ),
    // All orders of a set's frames, where the controls have the two that matter.
    (
        "lab/x86_64/pv/differential",
        "lab/i686/pv/control/drain=off+audit=off+order=holder-last",
    ),
    ("lab/x86_64/pv/sizes-6-gib", "lab/x86_64/sizes-6-gib"),
    // PVH: what the kernel does above its architecture layer is one code for both word sizes.
    ("lab/i686/baseline-of-the-controls", "lab/i686/main-job"),
    ("lab/i686/8-vcpus", "lab/x86_64/gaps"),
    ("lab/i686/control/drain=off", "lab/x86_64/control/drain=off"),
    (
        "lab/i686/control/drain=skip:1+audit=off",
        "lab/x86_64/control/drain=skip:1+audit=off",
    ),
    (
        "lab/i686/control/detach=nodrain",
        "lab/x86_64/control/detach=nodrain",
    ),
    ("lab/i686/pvh/nmi", "lab/x86_64/pvh/nmi"),
    // PV: PAE is what this project is for, so the 32-bit ones stay.
    (
        "lab/x86_64/pv/control/order=holder-first",
        "lab/i686/pv/control/order=holder-first",
    ),
    (
        "lab/x86_64/pv/control/drain=off+audit=off+order=holder-last",
        "lab/i686/pv/control/drain=off+audit=off+order=holder-last",
    ),
    (
        "lab/x86_64/pv/control/drain=skip:1+audit=off+order=holder-first",
        "lab/i686/pv/control/drain=skip:1+audit=off+order=holder-first",
    ),
    (
        "lab/x86_64/pv/control/drain=unpin-only+audit=off",
        "lab/i686/pv/control/drain=unpin-only+audit=off",
    ),
    (
        "lab/x86_64/pv/control/plant=store-frame",
        "lab/i686/pv/control/plant=store-frame",
    ),
    (
        "lab/x86_64/pv/control/plant=linear",
        "lab/i686/pv/control/plant=linear",
    ),
    (
        "lab/x86_64/pv/control/balloon=off",
        "lab/x86_64/control/balloon=off",
    ),
    ("lab/x86_64/pv/nmi", "lab/i686/pv/nmi"),
    ("lab/x86_64/pv/faults", "lab/i686/pv/faults"),
    ("lab/x86_64/pv/large-host", "lab/i686/pv/large-host"),
    (
        "lab/x86_64/pv/memory-below-maxmem",
        "lab/i686/pv/memory-below-maxmem",
    ),
    // The frontends are one code for all kinds of guests.
    ("lab/x86_64/pv/service", "lab/x86_64/service"),
    ("lab/i686/service", "lab/x86_64/service"),
    ("lab/i686/pv/service", "lab/x86_64/service"),
    (
        "lab/x86_64/control/resume=no-frontends",
        "lab/x86_64/service",
    ),
    // One kind each.
    ("lab/x86_64/pv/hotplug-storm", "lab/x86_64/hotplug-storm"),
    ("lab/x86_64/pv/gaps", "lab/x86_64/gaps"),
    ("lab/x86_64/other-vcpus", "lab/x86_64/pv/other-vcpus"),
];

/// Whether a test is left out unless its name is given.
pub fn is_long(name: &str) -> bool {
    name.starts_with(LONG)
}

/// Whether these words ask for a test that contains them: for a long one they begin with "long" or
/// are the rest of its name.
pub fn asks_for(filter: &str, name: &str) -> bool {
    match name.strip_prefix(LONG) {
        Some(rest) => filter.starts_with("long") || filter == rest,
        None => true,
    }
}

/// Gives the tests that another one stands for their long names.
pub fn leave_out(tests: &mut [LabTest]) {
    for test in tests {
        let shown = SHOWN_BY_ANOTHER.iter().any(|(name, _)| test.name == *name);
        if let (true, Some(rest)) = (shown, test.name.strip_prefix("lab/")) {
            test.name = format!("{LONG}{rest}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::scenarios;

    #[test]
    fn a_long_test_runs_only_if_it_is_named() {
        assert!(asks_for("", "lab/x"));
        assert!(!asks_for("", "long/libvirt"));
        assert!(asks_for("long", "long/libvirt"));
        assert!(asks_for("libvirt", "long/libvirt"));
        assert!(!asks_for("libvirt", "long/hosts/libvirt"));
    }

    #[test]
    fn each_that_is_left_out_has_one_that_runs() {
        let tests = scenarios::all();
        let named = |name: &str| tests.iter().any(|test| test.name == name);
        for (left, stays) in SHOWN_BY_ANOTHER {
            assert!(named(&left.replacen("lab/", LONG, 1)), "{left}");
            assert!(named(stays), "{stays}");
        }
    }
}

//! Long random histories with injected failures, against a plain model.
#![cfg(not(any(loom, shuttle)))]

#[path = "common/mod.rs"]
mod common;
#[path = "common/history.rs"]
mod history;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pool_and_model_agree(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        history::run(&bytes);
    }
}

/// The histories reach what they are meant to reach: a test of the test.
#[test]
fn histories_see_everything() {
    let mut seen = std::collections::BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..150 {
        let bytes: Vec<u8> = (0..1500)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random >> 32) as u8
            })
            .collect();
        for (what, times) in history::run(&bytes) {
            *seen.entry(what).or_insert(0) += times;
        }
    }
    for what in [
        "get",
        "try_get",
        "put",
        "put of an old form",
        "deferred",
        "drained",
        "drain timed out",
        "drain found quarantine",
        "invalidated",
        "barrier",
        "deferred while another waits",
        "put while another waits",
        "put back to its owner",
        "offline",
        "quarantined",
        "construction failed",
        "closed",
    ] {
        assert!(
            seen.get(what).is_some_and(|&times| times > 5),
            "{what}: {:?}",
            seen.get(what)
        );
    }
}

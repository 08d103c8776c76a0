//! Whether single sets are checked.

/// Double-put, foreign-put and write-after-free checks: on in debug builds and with the feature
/// `checks`.
pub(crate) const CHECKS: bool = cfg!(any(debug_assertions, feature = "checks"));

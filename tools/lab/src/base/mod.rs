//! What every floor uses: processes, files, packages, progress.

pub mod child;
pub mod clock;
pub mod document;
pub mod fingerprint;
pub mod outcome;
pub mod packages;
pub mod progress;
pub mod repo;
pub mod runs;
pub mod stop;

//! What a test build plants, for the audit or the last step before the suspend call to find.

pub use super::pv::start_info::{plant_store_frame, shared_info_frame};

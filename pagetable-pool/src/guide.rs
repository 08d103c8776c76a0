//! Longer reading: contexts, ancestors, comparison, orderings.

#[doc = include_str!("../docs/contexts.md")]
pub mod contexts {}

#[doc = include_str!("../docs/counterparts.md")]
pub mod counterparts {}

#[doc = include_str!("../docs/eight_drains.md")]
pub mod eight_drains {}

#[doc = include_str!("../docs/orderings.md")]
pub mod orderings {}

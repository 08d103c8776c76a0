//! What the guest does: address spaces come and go on every vCPU, and each is checked.

pub mod churn;
pub mod space;

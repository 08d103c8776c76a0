//! What is built or made from sources: the guest kernels, the bindings.

pub mod bindings;
pub mod kernel;

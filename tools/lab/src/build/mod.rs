//! What is built or made from sources: the guest kernels, the bindings, the C
//! library.

pub mod bindings;
pub mod c_library;
pub mod kernel;

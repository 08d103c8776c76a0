//! What is built or made from sources: the guest kernels, the bindings, the C
//! library and the guest on it.

pub mod bindings;
pub mod c_guest;
pub mod c_library;
pub mod kernel;

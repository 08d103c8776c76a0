//! xen-bindings.
#![no_std]

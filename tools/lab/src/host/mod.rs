//! The machine: Xen, dom0 and its image, QEMU, the channel to dom0.

pub mod channel;
pub mod cpio;
pub mod debian;
pub mod detached;
pub mod hypervisor;
pub mod image;
pub mod labprobe;
pub mod machine;
pub mod network;
pub mod pair;
pub mod qemu;
pub mod sshkey;
pub mod xen_build;
pub mod xl;

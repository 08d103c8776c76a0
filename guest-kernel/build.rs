//! Hands the linker the script of the word size that is built; the example is a kernel on flat memory.

use std::env;
use std::path::PathBuf;

fn main() {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the target's architecture");
    let script = match arch.as_str() {
        "x86" => "i686.ld",
        "x86_64" => "x86_64.ld",
        other => panic!("no linker script for {other}: the guest runs on x86 and x86_64"),
    };
    let dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets the folder"))
        .join("linker");
    println!("cargo:rustc-link-arg-bins=-T{}", dir.join(script).display());
    println!(
        "cargo:rustc-link-arg-examples=-T{}",
        dir.join("flat.ld").display()
    );
    println!("cargo:rerun-if-changed={}", dir.display());
    println!("cargo:rerun-if-changed=build.rs");
}

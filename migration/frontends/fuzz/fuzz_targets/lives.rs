//! Lives of a disk and of an interface whose backends do what the bytes say, as in
//! `tests/hostile.rs`.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0..128, rest)) => support::hostile::disk(rest),
        Some((_, rest)) => support::hostile::interface(rest),
        None => {}
    }
});

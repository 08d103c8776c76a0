//! `bindings [--check]`: makes `xen-bindings/src/ffi` from Xen's public headers, or checks it.

mod bindings;

fn main() -> std::process::ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("bindings: unknown argument {other}; usage: bindings [--check]");
            return std::process::ExitCode::from(2);
        }
    };
    match bindings::run(check) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bindings: {message}");
            std::process::ExitCode::FAILURE
        }
    }
}

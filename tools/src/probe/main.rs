//! `labprobe`: what the lab measures from inside dom0, and the user programs of the Linux guest it compares with.
//!
//! A program of its own because a shell cannot do it: starting `xl` or `date` takes longer here than what is
//! measured. It uses nothing but the standard library, so that one call of `rustc` links it statically for dom0
//! and for the guest (see `bench_linux::probe`).

mod console;
mod domains;
mod load;
mod nmis;
mod store;
mod stream;
mod sys;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["watch", ref names @ ..] if !names.is_empty() => watch::run(names),
        ["passes", file] => stream::run(file),
        ["load", vcpus] => vcpus
            .parse()
            .map_err(|e| format!("{vcpus}: {e}"))
            .and_then(load::run),
        ["nmis", vcpus, pause, file] => match (vcpus.parse(), pause.parse()) {
            (Ok(vcpus), Ok(pause)) => nmis::run(vcpus, pause, file),
            _ => Err("nmis: two numbers are needed".to_owned()),
        },
        _ => Err(
            "usage: labprobe watch NAME... | passes FILE | load VCPUS | nmis VCPUS MILLISECONDS FILE"
                .to_owned(),
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("labprobe: {why}");
            ExitCode::FAILURE
        }
    }
}

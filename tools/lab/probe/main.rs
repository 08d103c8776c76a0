//! `labprobe`: what the lab measures from inside dom0, and the user programs of the Linux guest it
//! compares with.
//!
//! A program of its own because a shell cannot do it: starting `xl` or `date` takes longer here
//! than what is measured. It uses nothing but the standard library, so that one call of `rustc`
//! links it statically for dom0 and for the guest (see `bench_linux::probe`).

mod backup;
mod console;
mod domains;
mod echo;
mod follow;
mod load;
mod nmis;
mod sparse;
mod store;
mod stream;
mod sys;
mod vcpus;
mod watch;

use std::process::ExitCode;

const USAGE: &str =
    "usage: labprobe watch NAME... | follow FILE | passes FILE | sparse FILE | backup CHECKPOINTS FILE | replace PATH VALUE | \
     load VCPUS | nmis VCPUS MILLISECONDS FILE | \
                     echo ADDRESS:PORT FILE | catch DOMAIN VCPU SECONDS | hold DOMAIN VCPU | release DOMAIN VCPU | unpause DOMAIN";

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|e| format!("{word}: {e}"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["watch", ref names @ ..] if !names.is_empty() => watch::run(names),
        ["follow", file] => follow::run(file),
        ["passes", file] => stream::run(file),
        ["sparse", file] => sparse::run(file),
        ["backup", checkpoints, file] => {
            number(checkpoints).and_then(|checkpoints| backup::run(checkpoints, file))
        }
        ["replace", path, value] => store::replace(path, value),
        ["echo", address, file] => echo::run(address, file),
        ["load", vcpus] => number(vcpus).and_then(load::run),
        ["nmis", vcpus, pause, file] => {
            number(vcpus).and_then(|vcpus| nmis::run(vcpus, number(pause)?, file))
        }
        ["catch", domain, vcpu, seconds] => {
            number(domain).and_then(|domain| vcpus::catch(domain, number(vcpu)?, number(seconds)?))
        }
        [what @ ("hold" | "release"), domain, vcpu] => {
            number(domain).and_then(|domain| vcpus::hold(domain, number(vcpu)?, what == "hold"))
        }
        ["unpause", domain] => number(domain).and_then(vcpus::unpause),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("labprobe: {why}");
            ExitCode::FAILURE
        }
    }
}

//! What a person does with a machine that was left running: commands in its dom0, files there and
//! back.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use clap::Args;

use crate::host::channel::quoted;
use crate::host::detached::UpState;
use crate::host::machine::Machine;
use crate::host::network::Host;
use crate::host::xen_build::Xen;

/// Which of the machines that are running.
#[derive(Debug, Args)]
pub struct Running {
    /// The machine's hypervisor
    #[arg(long, default_value = "debian12")]
    xen: Xen,
    /// One of two hosts
    #[arg(long, conflicts_with = "xen")]
    host: Option<Host>,
}

impl Running {
    fn attach(&self) -> Result<Machine> {
        let state = match self.host {
            Some(host) => UpState::load_host(host)
                .context("no two hosts are running: cargo lab up --detach --hosts 2")?,
            None => UpState::load(self.xen).with_context(|| {
                let xen = self.xen.name();
                format!("no such machine is running: cargo lab up --detach --xen {xen}")
            })?,
        };
        Machine::attach(&state)
    }
}

/// `cargo lab exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// The command
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<String>,
    /// Seconds it may take
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// Read standard input to its end and give it to the command
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    running: Running,
}

/// `cargo lab put`.
#[derive(Debug, Args)]
pub struct Put {
    /// The file here; - for standard input
    file: PathBuf,
    /// Its place in dom0; a folder if it ends with /. Without it: /root/, by its own name
    place: Option<String>,
    #[command(flatten)]
    running: Running,
}

/// `cargo lab get`.
#[derive(Debug, Args)]
pub struct Get {
    /// The file in dom0
    place: String,
    /// Its place here; without it: by its own name in the current folder
    file: Option<PathBuf>,
    #[command(flatten)]
    running: Running,
}

/// Longest time a file may take.
const COPY: Duration = Duration::from_secs(600);

/// Runs a command in dom0; its exit status is ours.
///
/// # Errors
/// If no such machine is running, or the command takes too long.
pub fn exec(args: &Exec) -> Result<ExitCode> {
    let machine = args.running.attach()?;
    let mut input = Vec::new();
    if args.stdin {
        std::io::stdin()
            .read_to_end(&mut input)
            .context("cannot read standard input")?;
    }
    let limit = Duration::from_secs(args.limit);
    let out = machine
        .dom0
        .run_with(&args.command.join(" "), &input, limit)?;
    print!("{}", out.stdout);
    eprint!("{}", out.stderr);
    Ok(ExitCode::from(out.status.clamp(0, 255) as u8))
}

/// Copies a file into dom0.
///
/// # Errors
/// If no such machine is running, the file cannot be read, or dom0 cannot take it.
pub fn put(args: &Put) -> Result<()> {
    let place = place_in_dom0(&args.file, args.place.as_deref())?;
    let machine = args.running.attach()?;
    let mut bytes = Vec::new();
    if args.file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        File::open(&args.file).and_then(|mut file| file.read_to_end(&mut bytes))
    }
    .with_context(|| format!("cannot read {}", args.file.display()))?;
    machine.dom0.put(&place, &bytes)?;
    println!("{place}: {} bytes", bytes.len());
    Ok(())
}

fn place_in_dom0(file: &Path, place: Option<&str>) -> Result<String> {
    let place = place.unwrap_or("/root/");
    if !place.ends_with('/') {
        return Ok(place.to_owned());
    }
    match file.file_name().and_then(|name| name.to_str()) {
        Some(name) if name != "-" => Ok(format!("{place}{name}")),
        _ => bail!(
            "{} has no name of its own: say where it goes",
            file.display()
        ),
    }
}

/// Copies a file out of dom0. What is there already is replaced when all of it has come.
///
/// # Errors
/// If no such machine is running, there is no such file, or it cannot be written here.
pub fn get(args: &Get) -> Result<()> {
    let file = match (&args.file, Path::new(&args.place).file_name()) {
        (Some(file), Some(name)) if file.is_dir() => file.join(name),
        (Some(file), _) => file.clone(),
        (None, Some(name)) => PathBuf::from(name),
        (None, None) => bail!("{} is no file's name", args.place),
    };
    let machine = args.running.attach()?;
    let name = file.file_name().context("the place here has no name")?;
    let mut part = name.to_owned();
    part.push(".part");
    let part = file.with_file_name(part);
    let script = format!("cat {}", quoted(&args.place));
    let copied = machine.dom0.read(&script, COPY, |out| {
        let mut to =
            File::create(&part).with_context(|| format!("cannot write {}", part.display()))?;
        std::io::copy(out, &mut to).with_context(|| format!("cannot write {}", part.display()))
    });
    let done = copied.and_then(|bytes| {
        std::fs::rename(&part, &file)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(bytes)
    });
    match done {
        Ok(bytes) => println!("{}: {bytes} bytes", file.display()),
        Err(error) => {
            // Half a file is worse than none.
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_place_in_dom0() {
        let place = |file: &str, place| place_in_dom0(Path::new(file), place).ok();
        assert_eq!(place("a/g.elf", None).as_deref(), Some("/root/g.elf"));
        assert_eq!(
            place("a/g.elf", Some("/lab/")).as_deref(),
            Some("/lab/g.elf")
        );
        assert_eq!(place("a/g.elf", Some("/lab/k")).as_deref(), Some("/lab/k"));
        assert_eq!(place("-", Some("/lab/k")).as_deref(), Some("/lab/k"));
        assert_eq!(place("-", None), None);
        assert_eq!(place("..", None), None);
    }
}

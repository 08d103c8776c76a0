//! `savelint FILE`: whether a saved domain can be restored, and if not, why.

mod cli;
mod progress;
mod tee;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use savelint::{lint, Report, Unreadable};

use cli::Cli;
use progress::Progress;
use tee::Tee;

/// Nothing heavier than a note was found.
const CLEAN: u8 = 0;
/// Something was.
const FINDINGS: u8 = 1;
/// There is no report.
const UNREADABLE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.man || cli.completions.is_some() {
        return written(about_itself(&cli));
    }
    let file = cli.file.as_deref().unwrap_or(Path::new("-"));
    match run(&cli, file) {
        Ok(report) => match print(&cli, &report) {
            // A reader that has seen enough, such as head, is no failure of ours.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => written(Err(error)),
            _ if report.is_clean() => ExitCode::from(CLEAN),
            _ => ExitCode::from(FINDINGS),
        },
        Err(why) => {
            eprintln!("savelint: {}: {why}", file.display());
            ExitCode::from(UNREADABLE)
        }
    }
}

fn written(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::from(CLEAN),
        Err(error) => {
            eprintln!("savelint: cannot write: {error}");
            ExitCode::from(UNREADABLE)
        }
    }
}

/// The manual page, or a shell's completions. Made in memory first: their makers panic if they
/// cannot write.
fn about_itself(cli: &Cli) -> io::Result<()> {
    let mut command = Cli::command();
    let mut text = Vec::new();
    match cli.completions {
        Some(shell) => clap_complete::generate(shell, &mut command, "savelint", &mut text),
        None => clap_mangen::Man::new(command).render(&mut text)?,
    }
    io::stdout().lock().write_all(&text)
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn run(cli: &Cli, file: &Path) -> Result<Report, Unreadable> {
    let open = |error| Unreadable::Io { at: 0, error };
    let (input, length): (Box<dyn Read>, Option<u64>) = if is_dash(file) {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(open)?;
        let about = opened.metadata().map_err(open)?;
        let length = about.is_file().then_some(about.len());
        (Box::new(opened), length)
    };
    let mut progress = Progress::new(cli.quiet, length);
    let result = match &cli.tee {
        None => judge(cli, input, &mut progress),
        Some(copy) => {
            let copy = open_copy(copy, file).map_err(open)?;
            let mut tee = Tee::new(input, copy);
            let result = judge(cli, &mut tee, &mut progress);
            // Whatever the verdict: who stands in the middle of a save lets all of it through.
            match tee.finish() {
                Err(error) if result.is_ok() => Err(open(error)),
                _ => result,
            }
        }
    };
    progress.end();
    result
}

fn judge(cli: &Cli, input: impl Read, progress: &mut Progress) -> Result<Report, Unreadable> {
    lint(input, &cli.options(), &mut |bytes| progress.at(bytes))
}

/// Where the copy goes; not onto the image that is read.
fn open_copy(copy: &Path, file: &Path) -> io::Result<Box<dyn Write>> {
    if is_dash(copy) {
        return Ok(Box::new(io::stdout().lock()));
    }
    let same = match (copy.canonicalize(), file.canonicalize()) {
        (Ok(copy), Ok(file)) => copy == file,
        _ => false,
    };
    if same {
        return Err(io::Error::other("the copy would overwrite the image"));
    }
    Ok(Box::new(File::create(copy)?))
}

fn print(cli: &Cli, report: &Report) -> io::Result<()> {
    // With the copy on standard output, the report has no other place.
    let mut out: Box<dyn Write> = if cli.tee.as_deref().is_some_and(is_dash) {
        Box::new(io::stderr().lock())
    } else {
        Box::new(io::stdout().lock())
    };
    if cli.json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()
}

//! `savelint FILE`: whether a saved domain can be restored, and if not, why.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::Parser;
use savelint::{lint, Options, Report, Unreadable, Xen};

/// Nothing heavier than a note was found.
const CLEAN: u8 = 0;
/// Something was.
const FINDINGS: u8 = 1;
/// There is no report.
const UNREADABLE: u8 = 2;

#[derive(Parser)]
#[command(
    name = "savelint",
    about = "Says whether a saved Xen domain can be restored, and if not, why",
    after_help = "Exit status: 0 clean, 1 findings, 2 unreadable.\n\
                  Reads what xl save writes, what xl migrate sends, and libxl's or libxc's stream alone."
)]
struct Cli {
    /// The image; - is standard input
    file: PathBuf,
    /// One JSON object instead of a page
    #[arg(long)]
    json: bool,
    /// Copy the image to FILE as it is read; - is standard output, and the report goes to standard error
    #[arg(long, value_name = "FILE")]
    tee: Option<PathBuf>,
    /// Judge a checkpointed stream as a Remus backup does: from its last whole checkpoint
    #[arg(long)]
    remus: bool,
    /// The host that is to restore has linear page tables off (Xen's pv-linear-pt=false)
    #[arg(long)]
    no_linear: bool,
    /// The Xen that is to restore; by default the one that saved
    #[arg(long, value_name = "VERSION", value_parser = for_xen())]
    for_xen: Option<Xen>,
    /// The most memory to use for what the stream says, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    max_memory: u64,
    /// No progress on standard error
    #[arg(long, short)]
    quiet: bool,
}

/// The known versions as possible values, for the help and the shells' completions.
fn for_xen() -> impl TypedValueParser<Value = Xen> {
    PossibleValuesParser::new(Xen::ALL.map(Xen::name)).try_map(|name| name.parse::<Xen>())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match run(&cli) {
        Ok(report) => {
            if let Err(error) = print(&cli, &report) {
                // A reader that has seen enough, such as head, is no failure of ours.
                if error.kind() != io::ErrorKind::BrokenPipe {
                    eprintln!("savelint: cannot write the report: {error}");
                    return ExitCode::from(UNREADABLE);
                }
            }
            if report.is_clean() {
                CLEAN
            } else {
                FINDINGS
            }
        }
        Err(why) => {
            eprintln!("savelint: {}: {why}", cli.file.display());
            UNREADABLE
        }
    };
    ExitCode::from(code)
}

fn run(cli: &Cli) -> Result<Report, Unreadable> {
    let open = |error| Unreadable::Io { at: 0, error };
    let (mut input, length): (Box<dyn Read>, Option<u64>) = if cli.file.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&cli.file).map_err(open)?;
        let about = file.metadata().map_err(open)?;
        let length = about.is_file().then_some(about.len());
        (Box::new(file), length)
    };
    let options = Options {
        memory: cli.max_memory << 20,
        linear: !cli.no_linear,
        for_xen: cli.for_xen,
        backup: cli.remus,
    };
    let mut progress = Progress::new(cli.quiet, length);
    let result = lint(&mut input, &options, &mut |bytes| progress.at(bytes));
    progress.end();
    result
}

fn print(cli: &Cli, report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if cli.json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()
}

/// A line on standard error, from the second second on: rewritten on a terminal, a new one each 10 s elsewhere.
struct Progress {
    quiet: bool,
    live: bool,
    length: Option<u64>,
    start: Instant,
    next: Duration,
    shown: bool,
}

impl Progress {
    fn new(quiet: bool, length: Option<u64>) -> Self {
        Self {
            quiet,
            live: io::stderr().is_terminal(),
            length,
            start: Instant::now(),
            next: Duration::from_secs(2),
            shown: false,
        }
    }

    fn at(&mut self, bytes: u64) {
        let time = self.start.elapsed();
        if self.quiet || time < self.next {
            return;
        }
        self.next = time + Duration::from_millis(if self.live { 250 } else { 10_000 });
        self.shown = true;
        let mib = bytes >> 20;
        let rate = bytes as f64 / time.as_secs_f64() / (1 << 20) as f64;
        let part = match self.length {
            Some(length) if length > 0 => {
                format!(" of {} MiB, {} %", length >> 20, bytes * 100 / length)
            }
            _ => " MiB".into(),
        };
        let (start, end) = if self.live {
            ("\r", "\x1b[K")
        } else {
            ("", "\n")
        };
        // A closed standard error is no reason to stop.
        let _ = write!(
            io::stderr(),
            "{start}  read {mib}{part}, {rate:.0} MiB/s{end}"
        );
    }

    fn end(&self) {
        if self.shown && self.live {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

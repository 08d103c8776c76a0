//! The command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::Parser;
use clap_complete::Shell;
use savelint::{Options, Xen};

/// What the program is asked for.
#[derive(Parser)]
#[command(
    name = "savelint",
    version,
    override_usage = "savelint [OPTIONS] <FILE>\n       savelint --completions <SHELL> | --man",
    about = "Says whether a saved Xen domain can be restored, and if not, why",
    long_about = "Says whether a saved Xen domain can be restored, and if not, why.\n\n\
                  xl save exits 0 on images that no Xen can restore. savelint reads the image as \
                  the restore would, record by record, and says \
                  what would stop it, with the record, its byte and what xl would print.",
    after_help = "Exit status: 0 clean, 1 findings, 2 unreadable.\n\
                  Reads images of xl, libvirt and xapi, what xl migrate and xl remus send, and \
                  libxl's or libxc's stream alone.",
    after_long_help = "EXIT STATUS\n  0  clean: it can be restored, nothing heavier than a note was found\n  \
                       1  findings: the page says CAN BE RESTORED or CANNOT BE RESTORED\n  \
                       2  unreadable: no such file, no migration stream, too big for \
                       --max-memory, or the copy of --tee failed\n\n\
                       EXAMPLES\n  savelint guest.save\n      \
                       the page for a person\n  xl save guest /dev/stdout | savelint --tee guest.save -\n      \
                       judges the image while it is written\n  \
                       ssh host cat guest.save | savelint --for-xen 4.17 --json -\n      \
                       whether a host with Xen 4.17 can restore it, for a script\n  \
                       zstd -dc guest.save.zst | savelint -\n      \
                       a compressed image"
)]
pub struct Cli {
    /// The image; - is standard input
    #[arg(required_unless_present_any = ["completions", "man"])]
    pub file: Option<PathBuf>,
    /// One JSON object instead of a page
    #[arg(long)]
    pub json: bool,
    /// The Xen that is to restore; by default the one that saved
    #[arg(long, value_name = "VERSION", value_parser = for_xen())]
    for_xen: Option<Xen>,
    /// Judge a checkpointed stream as a Remus backup does: from its last whole checkpoint
    #[arg(long)]
    remus: bool,
    /// The host that is to restore has linear page tables off (Xen's pv-linear-pt=false)
    #[arg(long)]
    no_linear: bool,
    /// Copy the image to FILE as it is read; - is standard output, and the report goes to standard
    /// error
    #[arg(long, value_name = "FILE")]
    pub tee: Option<PathBuf>,
    /// The most memory to use for what the stream says, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    max_memory: u64,
    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
    /// Print the completions for a shell, and do nothing else
    #[arg(long, value_name = "SHELL", exclusive = true)]
    pub completions: Option<Shell>,
    /// Print the manual page, for man -l -, and do nothing else
    #[arg(long, exclusive = true)]
    pub man: bool,
}

/// The known versions as possible values, for the help and the shells' completions.
fn for_xen() -> impl TypedValueParser<Value = Xen> {
    PossibleValuesParser::new(Xen::ALL.map(Xen::name)).try_map(|name| name.parse::<Xen>())
}

impl Cli {
    /// For the library.
    pub fn options(&self) -> Options {
        Options {
            memory: self.max_memory << 20,
            linear: !self.no_linear,
            for_xen: self.for_xen,
            backup: self.remus,
        }
    }
}
